package keys

import (
	"math"
	"regexp"
	"strconv"
	"strings"
)

// parse turns text into a value of the type; reason is Kafka's when it is none. Java trims with String.trim: every
// character up to the blank.
func (t Type) parse(text string) (v any, reason string) {
	s := strings.TrimFunc(text, func(r rune) bool { return r <= ' ' })
	switch t {
	case Boolean:
		switch strings.ToLower(s) {
		case "true":
			return true, ""
		case "false":
			return false, ""
		}
		return nil, "Expected value to be either true or false"
	case Short, Int, Long:
		bits := map[Type]int{Short: 16, Int: 32, Long: 64}[t]
		n, err := strconv.ParseInt(s, 10, bits)
		switch {
		case err != nil:
			return nil, "Not a number of type " + t.String()
		case t == Short:
			return int16(n), ""
		case t == Int:
			return int32(n), ""
		}
		return n, ""
	case Double:
		f, ok := parseDouble(s)
		if !ok {
			return nil, "Not a number of type DOUBLE"
		}
		return f, ""
	case List:
		if s == "" {
			return []string{}, ""
		}
		l := strings.Split(s, ",")
		for i := range l {
			l[i] = strings.TrimSpace(l[i])
		}
		return l, ""
	default:
		return s, ""
	}
}

var decimal = regexp.MustCompile(`^([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)[fFdD]?$`)

// parseDouble takes what Double.parseDouble takes, but for hexadecimal.
func parseDouble(s string) (float64, bool) {
	switch s {
	case "NaN", "+NaN", "-NaN":
		return math.NaN(), true
	case "Infinity", "+Infinity":
		return math.Inf(1), true
	case "-Infinity":
		return math.Inf(-1), true
	}
	m := decimal.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	f, _ := strconv.ParseFloat(m[1], 64) // out of range gives ±Inf, as in Java
	return f, true
}

// Format is a parsed value as canonical text; nil is "".
func Format(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case bool:
		return strconv.FormatBool(v)
	case int16:
		return strconv.FormatInt(int64(v), 10)
	case int32:
		return strconv.FormatInt(int64(v), 10)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return formatDouble(v)
	case []string:
		return strings.Join(v, ",")
	case string:
		return v
	}
	panic("keys: a value of no known type")
}

// formatDouble prints as Double.toString: plain from 0.001 to 10,000,000, else scientific, always with a fraction.
func formatDouble(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	case a == 0 || a >= 1e-3 && a < 1e7:
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'E', -1, 64), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}
