package metrics

import (
	"reflect"
	"sync"

	"ottla/broker/api"
)

// walker finds the error codes in a value of one type; nil if there are none in it.
type walker func(v reflect.Value, to Counter)

// walkers are those of answers, by type.
var walkers sync.Map // reflect.Type -> walker

// countCodes counts every field ErrorCode of an answer, those of what it lists included.
func countCodes(answer api.Response, to Counter) {
	v := reflect.ValueOf(answer)
	w, ok := walkers.Load(v.Type())
	if !ok {
		w, _ = walkers.LoadOrStore(v.Type(), walkerOf(v.Type(), map[reflect.Type]bool{}))
	}
	if w := w.(walker); w != nil {
		w(v, to)
	}
}

func walkerOf(t reflect.Type, within map[reflect.Type]bool) walker {
	if within[t] {
		return nil // a type that contains itself is none of an answer's
	}
	within[t] = true
	defer delete(within, t)
	switch t.Kind() {
	case reflect.Pointer:
		w := walkerOf(t.Elem(), within)
		if w == nil {
			return nil
		}
		return func(v reflect.Value, to Counter) {
			if !v.IsNil() {
				w(v.Elem(), to)
			}
		}
	case reflect.Slice:
		w := walkerOf(t.Elem(), within)
		if w == nil {
			return nil
		}
		return func(v reflect.Value, to Counter) {
			for i := range v.Len() {
				w(v.Index(i), to)
			}
		}
	case reflect.Struct:
		return structWalker(t, within)
	}
	return nil
}

func structWalker(t reflect.Type, within map[reflect.Type]bool) walker {
	type field struct {
		i int
		w walker
	}
	code := -1
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Name == "ErrorCode" && f.Type.Kind() == reflect.Int16 {
			code = i
		} else if w := walkerOf(f.Type, within); w != nil && f.IsExported() {
			fields = append(fields, field{i, w})
		}
	}
	if code < 0 && fields == nil {
		return nil
	}
	return func(v reflect.Value, to Counter) {
		if code >= 0 {
			to.Count(int16(v.Field(code).Int()))
		}
		for _, f := range fields {
			f.w(v.Field(f.i), to)
		}
	}
}
