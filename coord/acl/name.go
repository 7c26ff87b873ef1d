package acl

import "strings"

// nameKeywords are those that Java knows in the names of certificates.
var nameKeywords = map[string]bool{
	"CN": true, "C": true, "L": true, "S": true, "ST": true, "O": true, "OU": true, "T": true, "IP": true, "STREET": true, "DC": true, "DNQUALIFIER": true,
	"DNQ": true, "SURNAME": true, "GIVENNAME": true, "INITIALS": true, "GENERATION": true, "EMAIL": true, "EMAILADDRESS": true, "UID": true, "SERIALNUMBER": true,
}

// validName says whether s can be the name of a certificate's subject: "CN=client,O=Acme". The empty name is one.
func validName(s string) bool {
	if strings.TrimSpace(s) == "" {
		return true
	}
	for _, part := range splitName(s) {
		key, value, ok := strings.Cut(part, "=")
		key = strings.ToUpper(strings.TrimSpace(key))
		if !ok || !nameKeywords[key] && !objectID(strings.TrimPrefix(key, "OID.")) {
			return false
		}
		if hex, ok := strings.CutPrefix(strings.TrimSpace(value), "#"); ok && (hex == "" || len(hex)%2 != 0 || strings.Trim(hex, "0123456789abcdefABCDEF") != "") {
			return false
		}
	}
	return true
}

// splitName splits at commas, semicolons and plus signs that are neither quoted nor escaped.
func splitName(s string) (parts []string) {
	start, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			quoted = !quoted
		case ',', ';', '+':
			if !quoted {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}

func objectID(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || strings.Trim(part, "0123456789") != "" {
			return false
		}
	}
	return strings.Contains(s, ".")
}
