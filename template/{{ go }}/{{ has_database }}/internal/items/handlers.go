package items

import (
	"errors"
	"fmt"
	"math"
	"net/http"

	"example.com/app/internal/database"
	"example.com/app/internal/problem"
	"example.com/app/internal/request"
	"example.com/app/internal/respond"
)

const (
	defaultLimit = 20
	maxLimit     = 100
)

// Handlers are the handlers of /items.
type Handlers struct {
	items repository
}

// New returns handlers that store items in a database.
func New(db *database.DB) *Handlers { return &Handlers{repository{db}} }

// Create handles POST /items.
func (h *Handlers) Create(w http.ResponseWriter, r *http.Request) error {
	var body newItem
	if err := request.JSON(r, &body); err != nil {
		return err
	}
	item, err := h.items.create(r.Context(), body.Name)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("/items/%d", item.ID))
	return respond.JSON(w, http.StatusCreated, item)
}

// List handles GET /items.
func (h *Handlers) List(w http.ResponseWriter, r *http.Request) error {
	query := request.NewQuery(r)
	after := query.Int("after", 0, 1, math.MaxInt64)
	limit := query.Int("limit", defaultLimit, 1, maxLimit)
	if err := query.Err(); err != nil {
		return err
	}
	found, err := h.items.list(r.Context(), after, limit+1) // one more shows whether there is a next page
	if err != nil {
		return err
	}
	if int64(len(found)) <= limit {
		return respond.JSON(w, http.StatusOK, page{Items: found})
	}
	found = found[:limit]
	return respond.JSON(w, http.StatusOK, page{Items: found, Next: &found[limit-1].ID})
}

// Get handles GET /items/{id}.
func (h *Handlers) Get(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r)
	if err != nil {
		return err
	}
	item, err := h.items.get(r.Context(), id)
	if err != nil {
		return orNotFound(err)
	}
	return respond.JSON(w, http.StatusOK, item)
}

// Delete handles DELETE /items/{id}.
func (h *Handlers) Delete(w http.ResponseWriter, r *http.Request) error {
	id, err := request.ID(r)
	if err != nil {
		return err
	}
	if err := h.items.delete(r.Context(), id); err != nil {
		return orNotFound(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func orNotFound(err error) error {
	if errors.Is(err, database.ErrNotFound) {
		return problem.New(http.StatusNotFound, "Item not found.")
	}
	return err
}
