package api

import (
	"reflect"
	"testing"

	"bolwerk"
)

type row struct{}

// Two capabilities may call a row the same: what names a page of them is in the name.
func TestSchemaNames(t *testing.T) {
	for _, c := range []struct {
		of   any
		want string
	}{{Page[row]{}, "PageRow"}, {row{}, "Row"}, {bolwerk.Domain{}, "Domain"}} {
		if got := schemaName(reflect.TypeOf(c.of), ""); got != c.want {
			t.Errorf("%T: %q, want %q", c.of, got, c.want)
		}
	}
}
