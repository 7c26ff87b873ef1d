package bench

import (
	"fmt"
	"io"
	"time"

	"ottla/cmd/internal/output"
)

// Result is what a run found; times are microseconds in JSON.
type Result struct {
	Op          string  `json:"op"`
	Server      string  `json:"server"`
	Connections int     `json:"connections"`
	Outstanding int     `json:"outstanding"`
	Rate        float64 `json:"rate,omitempty"` // asked for; 0: closed loop
	Detail      string  `json:"detail"`

	Seconds    float64 `json:"seconds"`
	Operations uint64  `json:"operations"`
	PerSecond  float64 `json:"perSecond"`
	Records    float64 `json:"recordsPerSecond,omitempty"`
	Bytes      float64 `json:"bytesPerSecond,omitempty"`
	Latency    Latency `json:"latencyMicros"`
	Timeout    float64 `json:"sessionTimeoutSeconds,omitempty"`
	Expired    float64 `json:"expiredAfterSeconds,omitempty"` // from the end of the connections until the last session was gone

	what string // an operation
}

// Latency is percentiles in microseconds.
type Latency struct {
	Mean float64 `json:"mean"`
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p99.9"`
	Max  float64 `json:"max"`
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func (r *Result) measured(h *Histogram) {
	r.Latency = Latency{micros(h.Mean()), micros(h.Quantile(.5)), micros(h.Quantile(.9)), micros(h.Quantile(.99)), micros(h.Quantile(.999)), micros(h.Max())}
}

// print writes the result for people or as one JSON object.
func (r *Result) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return output.JSON(w, r)
	}
	loop := "closed loop"
	if r.Rate > 0 {
		loop = fmt.Sprintf("open loop at %s %s/s", short(r.Rate), r.what)
	}
	fmt.Fprintf(w, "%s  %s  %d connections, %d outstanding, %s, %s\n", output.Heading(w, r.Op), r.Server, r.Connections, r.Outstanding, r.Detail, loop)
	line := fmt.Sprintf("  %s %s/s", short(r.PerSecond), r.what)
	if r.Records > 0 {
		line += fmt.Sprintf("   %s records/s", short(r.Records))
	}
	if r.Bytes > 0 {
		line += fmt.Sprintf("   %s MB/s", short(r.Bytes/1e6))
	}
	fmt.Fprintf(w, "%s   in %.1f s\n", output.Heading(w, line), r.Seconds)
	l := r.Latency
	fmt.Fprintf(w, "  latency  p50 %s  p90 %s  p99 %s  p99.9 %s  max %s\n", duration(l.P50), duration(l.P90), duration(l.P99), duration(l.P999), duration(l.Max))
	if r.Expired > 0 {
		fmt.Fprintf(w, "  expired  %.2f s after the connections were closed, with a session timeout of %.3g s\n", r.Expired, r.Timeout)
	}
	if r.Rate > 0 && r.PerSecond < .98*r.Rate {
		fmt.Fprintf(w, "  %s\n", output.Warning("the server did not keep up with the rate: latency grows with the length of the run"))
	}
	return nil
}

// short prints three digits.
func short(n float64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.3g M", n/1e6)
	case n >= 1e5:
		return fmt.Sprintf("%.0f k", n/1e3)
	case n >= 100:
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.3g", n)
}

// duration prints microseconds in a fitting unit.
func duration(us float64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%.0f us", us)
	case us < 1e6:
		return fmt.Sprintf("%.3g ms", us/1e3)
	}
	return fmt.Sprintf("%.3g s", us/1e6)
}
