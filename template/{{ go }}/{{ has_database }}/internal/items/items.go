// Package items is the example resource: replace it with your own.
package items

import (
	"time"

	"example.com/app/internal/problem"
	"example.com/app/internal/request"
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
func (n *newItem) Validate() []problem.Field {
	return request.CheckText("body.name", n.Name, 1, maxNameLength)
}

// page is the body of GET /items. Next is the cursor of the next page, if there is one.
type page struct {
	Items []Item `json:"items"`
	Next  *int64 `json:"next"`
}
