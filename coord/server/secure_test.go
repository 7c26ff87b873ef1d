package server

import (
	"crypto/x509"
	"encoding/asn1"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzJavaName: whatever a certificate says of its owner, the name is one line of text that no two owners of one text share with a separator.
func FuzzJavaName(f *testing.F) {
	f.Add("CN=x", []byte{0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'x'})
	f.Add("a,b", []byte{0x30, 0x00})
	f.Fuzz(func(t *testing.T, value string, subject []byte) {
		javaName(&x509.Certificate{RawSubject: subject})
		if !utf8.ValidString(value) {
			return
		}
		text, err := asn1.MarshalWithParams(value, "utf8")
		if err != nil {
			return
		}
		type part struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		set, err := asn1.MarshalWithParams([]part{{asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.RawValue{FullBytes: text}}}, "set")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := asn1.Marshal([]asn1.RawValue{{FullBytes: set}})
		if err != nil {
			t.Fatal(err)
		}
		got, ok := strings.CutPrefix(javaName(&x509.Certificate{RawSubject: raw}), "CN=")
		if !ok {
			t.Fatalf("%q gave %q", value, got)
		}
		// Taking the escapes away gives the value back.
		var b strings.Builder
		for i := 0; i < len(got); i++ {
			if got[i] == '\\' {
				i++
			}
			b.WriteByte(got[i])
		}
		if b.String() != value {
			t.Errorf("%q was written as %q", value, got)
		}
	})
}
