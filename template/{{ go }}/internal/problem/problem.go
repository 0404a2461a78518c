// Package problem implements problem details for HTTP APIs (RFC 9457).
package problem

import (
	"encoding/json/v2"
	"net/http"

	"example.com/app/internal/respond"
)

const (
	// StatusClientClosedRequest is logged if the client disconnected before the response, as in NGINX.
	StatusClientClosedRequest = 499

	maxFields  = 10
	retryAfter = "5"
)

// Details is an error that becomes the response.
type Details struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Detail string  `json:"detail"`
	Errors []Field `json:"errors,omitempty"`
}

// Field is an error in one part of a request, such as body.name or query.limit.
type Field struct {
	Location string `json:"location"`
	Detail   string `json:"detail"`
}

// New returns the details of a status.
func New(status int, detail string) *Details {
	return &Details{Type: "about:blank", Title: title(status), Status: status, Detail: detail}
}

// Invalid returns a 422 that lists the errors of a request.
func Invalid(fields ...Field) *Details {
	details := New(http.StatusUnprocessableEntity, "The request is invalid.")
	details.Errors = fields[:min(len(fields), maxFields)]
	return details
}

// NotFound returns a 404.
func NotFound() *Details { return New(http.StatusNotFound, "Not found.") }

func (d *Details) Error() string { return d.Detail }

// Write responds with the details.
func (d *Details) Write(w http.ResponseWriter) {
	if d.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	body, _ := json.Marshal(d) // cannot fail
	respond.Bytes(w, d.Status, "application/problem+json", body)
}

// title returns the status phrase. RFC 9110 renamed two of those in net/http.
func title(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "Content Too Large"
	case http.StatusUnprocessableEntity:
		return "Unprocessable Content"
	case StatusClientClosedRequest:
		return "Client Closed Request"
	default:
		return http.StatusText(status)
	}
}
