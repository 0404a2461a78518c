// Package orders is the resource of orders.
package orders

import (
	"net/mail"
	"time"
	"uuid"

	"example.com/app/internal/problem"
	"example.com/app/internal/request"
)

const (
	statusNew     = "new"
	statusPaid    = "paid"
	statusShipped = "shipped"

	maxCustomerLength = 100
	maxEmailLength    = 254
)

// Order is an order in responses.
type Order struct {
	ID        uuid.UUID `json:"id"`
	Customer  string    `json:"customer"`
	Email     string    `json:"email"`
	Status    string    `json:"status"`
	Gift      bool      `json:"gift"`
	CreatedAt time.Time `json:"created_at"`
}

// newOrder is the body of POST /orders.
type newOrder struct {
	Customer string `json:"customer"`
	Email    string `json:"email"`
	Status   string `json:"status"`
	Gift     bool   `json:"gift"`
}

// Validate implements request.Validator.
func (n *newOrder) Validate() []problem.Field {
	fields := request.CheckText("body.customer", n.Customer, 1, maxCustomerLength)
	fields = append(fields, request.CheckText("body.email", n.Email, 1, maxEmailLength)...)
	fields = append(fields, request.CheckEnum("body.status", n.Status, statusNew, statusPaid, statusShipped)...)
	if address, err := mail.ParseAddress(n.Email); err != nil || address.Address != n.Email {
		fields = append(fields, problem.Field{Location: "body.email", Detail: "Must be an e-mail address."})
	}
	return fields
}

// page is the body of GET /orders.
type page struct {
	Orders []Order `json:"orders"`
}
