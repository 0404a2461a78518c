// Package items is the example resource: replace it with your own.
package items

import (
	"strings"
	"time"
	"unicode/utf8"

	"example.com/app/internal/problem"
)

const maxNameLength = 200

// Item is an item in responses.
type Item struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// newItem is the body of POST /items.
type newItem struct {
	Name string `json:"name"`
}

// Validate implements request.Validator.
func (n *newItem) Validate() (fields []problem.Field) {
	if length := utf8.RuneCountInString(n.Name); length < 1 || length > maxNameLength {
		fields = append(fields, problem.Field{Location: "body.name", Detail: "Must be 1 to 200 characters."})
	}
	if strings.ContainsRune(n.Name, 0) {
		fields = append(fields, problem.Field{Location: "body.name", Detail: "Must not contain NUL."})
	}
	return fields
}

// page is the body of GET /items. Next is the cursor of the next page, if there is one.
type page struct {
	Items []Item `json:"items"`
	Next  *int64 `json:"next"`
}
