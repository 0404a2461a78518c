package orders

import (
	"errors"
	"fmt"
	"net/http"

	"example.com/app/internal/database"
	"example.com/app/internal/problem"
	"example.com/app/internal/request"
	"example.com/app/internal/respond"
	"golang.org/x/text/unicode/norm"
)

const limit = 100

// Handlers are the handlers of /orders.
type Handlers struct {
	orders repository
}

// New returns handlers that store orders in a database.
func New(db *database.DB) *Handlers { return &Handlers{repository{db}} }

// Create handles POST /orders.
func (h *Handlers) Create(w http.ResponseWriter, r *http.Request) error {
	body := newOrder{Status: statusNew}
	if err := request.JSON(r, &body); err != nil {
		return err
	}
	body.Customer = norm.NFC.String(body.Customer)
	order, err := h.orders.create(r.Context(), body)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("/orders/%s", order.ID))
	return respond.JSON(w, http.StatusCreated, order)
}

// List handles GET /orders.
func (h *Handlers) List(w http.ResponseWriter, r *http.Request) error {
	query := request.NewQuery(r)
	filters := filters{
		customer: query.Text("customer", 1, maxCustomerLength),
		statuses: query.Enums("status", statusNew, statusPaid, statusShipped),
		gift:     query.Bool("gift"),
		newest:   query.Enum("sort", "oldest", "oldest", "newest") == "newest",
	}
	if err := query.Err(); err != nil {
		return err
	}
	found, err := h.orders.list(r.Context(), filters, limit)
	if err != nil {
		return err
	}
	return respond.JSON(w, http.StatusOK, page{found})
}

// Get handles GET /orders/{id}.
func (h *Handlers) Get(w http.ResponseWriter, r *http.Request) error {
	id, err := request.UUID(r)
	if err != nil {
		return err
	}
	order, err := h.orders.get(r.Context(), id)
	if err != nil {
		return orNotFound(err)
	}
	return respond.JSON(w, http.StatusOK, order)
}

// Delete handles DELETE /orders/{id}.
func (h *Handlers) Delete(w http.ResponseWriter, r *http.Request) error {
	id, err := request.UUID(r)
	if err != nil {
		return err
	}
	if err := h.orders.delete(r.Context(), id); err != nil {
		return orNotFound(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func orNotFound(err error) error {
	if errors.Is(err, database.ErrNotFound) {
		return problem.New(http.StatusNotFound, "Order not found.")
	}
	return err
}
