// Package request reads and validates requests.
package request

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
	"uuid"

	"example.com/app/internal/problem"
)

// ID returns the path parameter id. Anything but a positive 64-bit integer is a 404.
func ID(r *http.Request) (int64, error) {
	id, ok := parseInt(r.PathValue("id"), 1, math.MaxInt64)
	if !ok {
		return 0, problem.NotFound()
	}
	return id, nil
}

// UUID returns the path parameter id. Anything but a UUID with hyphens is a 404.
func UUID(r *http.Request) (uuid.UUID, error) {
	id, err := uuid.Parse(r.PathValue("id"))
	if err != nil || !strings.EqualFold(id.String(), r.PathValue("id")) { // uuid.Parse takes braces and prefixes
		return uuid.Nil(), problem.NotFound()
	}
	return id, nil
}

// CheckText returns an error unless the text has low to high characters and no NUL, which not every database can store.
func CheckText(location, text string, low, high int) []problem.Field {
	length := utf8.RuneCountInString(text)
	if low <= length && length <= high && utf8.ValidString(text) && !strings.ContainsRune(text, 0) {
		return nil
	}
	field := problem.Field{Location: location, Detail: fmt.Sprintf("Must be %d to %d characters without NUL.", low, high)}
	return []problem.Field{field}
}

// CheckEnum returns an error unless the text is one of the values.
func CheckEnum(location, text string, values ...string) []problem.Field {
	if slices.Contains(values, text) {
		return nil
	}
	field := problem.Field{Location: location, Detail: "Must be one of: " + strings.Join(values, ", ") + "."}
	return []problem.Field{field}
}

// Query reads query parameters and collects their errors.
type Query struct {
	values url.Values
	fields []problem.Field
}

// NewQuery parses the query of a request.
func NewQuery(r *http.Request) *Query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &Query{values: values}
	if err != nil {
		q.fields = append(q.fields, problem.Field{Location: "query", Detail: "Must be URL-encoded."})
	}
	return q
}

// Int returns an integer from low to high, or def if there is none.
func (q *Query) Int(name string, def, low, high int64) int64 {
	if !q.values.Has(name) {
		return def
	}
	n, ok := parseInt(q.values.Get(name), low, high)
	if !ok {
		detail := fmt.Sprintf("Must be an integer from %d to %d.", low, high)
		q.fields = append(q.fields, problem.Field{Location: "query." + name, Detail: detail})
	}
	return n
}

// Text returns a text of low to high characters, or an empty one if there is none.
func (q *Query) Text(name string, low, high int) string {
	text := q.values.Get(name)
	if q.values.Has(name) {
		q.fields = append(q.fields, CheckText("query."+name, text, low, high)...)
	}
	return text
}

// Enum returns one of the values, or def if there is none.
func (q *Query) Enum(name, def string, values ...string) string {
	if !q.values.Has(name) {
		return def
	}
	text := q.values.Get(name)
	q.fields = append(q.fields, CheckEnum("query."+name, text, values...)...)
	return text
}

// Enums returns the values of a repeated parameter.
func (q *Query) Enums(name string, values ...string) []string {
	for _, text := range q.values[name] {
		if fields := CheckEnum("query."+name, text, values...); fields != nil {
			q.fields = append(q.fields, fields...)
			return nil
		}
	}
	return q.values[name]
}

// Bool returns a boolean, or nil if there is none.
func (q *Query) Bool(name string) *bool {
	if !q.values.Has(name) {
		return nil
	}
	return new(q.Enum(name, "", "true", "false") == "true")
}

// Err returns a 422 if there were errors.
func (q *Query) Err() error {
	if len(q.fields) > 0 {
		return problem.Invalid(q.fields...)
	}
	return nil
}

// parseInt accepts decimal digits only: strconv.ParseInt alone takes signs and leading zeros.
func parseInt(s string, low, high int64) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == s && low <= n && n <= high
}
