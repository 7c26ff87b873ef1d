package shape

import "reflect"

// Limits is what a body may decode to.
type Limits struct {
	Decoded int64 // bytes
	Struct  int   // bytes that the decoder takes for an element of an array of structures, at most; see StructBytes
}

// DecodedMax is what a body of so many bytes may decode to where nothing else limits it: 64 MiB, and eight bytes for one. What is
// honest stays below: the smallest elements, such as a partition number, take as much room decoded, and larger ones carry more bytes.
func DecodedMax(body int) int64 { return 64<<20 + 8*int64(body) }

// StructBytes is the size of the largest structure that a slice somewhere in t has, t being the type that a body decodes to.
func StructBytes(t reflect.Type) int {
	n := 0
	switch t.Kind() {
	case reflect.Pointer:
		return StructBytes(t.Elem())
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			n = int(t.Elem().Size())
		}
		return max(n, StructBytes(t.Elem()))
	case reflect.Struct:
		for i := range t.NumField() {
			n = max(n, StructBytes(t.Field(i).Type))
		}
	}
	return n
}
