package request_test

import (
	"errors"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"example.com/app/internal/problem"
	"example.com/app/internal/request"
)

const id = "0198c1a0-7b1e-7c3a-9f00-2b6f0d1e4a5c"

func TestUUID(t *testing.T) {
	for _, test := range []struct {
		value string
		valid bool
	}{
		{id, true},
		{strings.ToUpper(id), true},
		{"", false},
		{"1", false},
		{strings.ReplaceAll(id, "-", ""), false},
		{"{" + id + "}", false},
		{"urn:uuid:" + id, false},
	} {
		t.Run(test.value, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
			r.SetPathValue("id", test.value)
			got, err := request.UUID(r)
			if valid := err == nil && got.String() == id; valid != test.valid {
				t.Errorf("got %s and error %v, want valid %v", got, err, test.valid)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/?text=%C3%A9&enum=b&enums=a&enums=b&yes=true&no=false", nil)
	query := request.NewQuery(r)
	if got := query.Text("text", 1, 1); got != "é" {
		t.Errorf("got text %q", got)
	}
	if got := query.Enum("enum", "a", "a", "b"); got != "b" {
		t.Errorf("got enum %q", got)
	}
	if got := query.Enums("enums", "a", "b"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("got enums %q", got)
	}
	if yes, no := query.Bool("yes"), query.Bool("no"); yes == nil || !*yes || no == nil || *no {
		t.Errorf("got booleans %v and %v", yes, no)
	}
	if err := query.Err(); err != nil {
		t.Errorf("got error %v", err)
	}
}

func TestQuery_Missing(t *testing.T) {
	query := request.NewQuery(httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	text, enum := query.Text("text", 1, 1), query.Enum("enum", "a", "a", "b")
	enums, boolean := query.Enums("enums", "a"), query.Bool("boolean")
	if text != "" || enum != "a" || enums != nil || boolean != nil || query.Err() != nil {
		t.Errorf("got %q, %q, %q, %v and error %v", text, enum, enums, boolean, query.Err())
	}
}

func TestQuery_Invalid(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"text=", "query.text"},
		{"text=abc", "query.text"},
		{"text=%00", "query.text"},
		{"text=%ff", "query.text"},
		{"enum=", "query.enum"},
		{"enum=c", "query.enum"},
		{"enums=a&enums=c", "query.enums"},
		{"boolean=1", "query.boolean"},
		{"boolean=", "query.boolean"},
	} {
		t.Run(test.query, func(t *testing.T) {
			query := request.NewQuery(httptest.NewRequestWithContext(t.Context(), "GET", "/?"+test.query, nil))
			query.Text("text", 1, 2)
			query.Enum("enum", "", "a", "b")
			query.Enums("enums", "a", "b")
			query.Bool("boolean")
			details, ok := errors.AsType[*problem.Details](query.Err())
			if !ok || len(details.Errors) != 1 || details.Errors[0].Location != test.want {
				t.Errorf("got %+v, want an error of %s", details, test.want)
			}
		})
	}
}
