// Package request reads and validates requests.
package request

import (
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"

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
