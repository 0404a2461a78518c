package items

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"

	"app/internal/answer"
	"app/internal/database"
	"app/internal/problems"
)

const (
	bodyLimit    = 64 * 1024
	defaultLimit = 20
	maxLimit     = 100
)

// Handlers are the items API.
type Handlers struct {
	items repository
}

// New returns the API of the items in a database.
func New(database *database.Database) *Handlers {
	return &Handlers{repository{database}}
}

// Create creates an item.
func (h *Handlers) Create(w http.ResponseWriter, r *http.Request) error {
	body, err := readJSON(w, r)
	if err != nil {
		return err
	}
	wanted, err := parse(body)
	if err != nil {
		return err
	}
	item, err := h.items.create(r.Context(), wanted.Name)
	if err != nil {
		return err
	}
	w.Header().Set("Location", fmt.Sprintf("/items/%d", item.ID))
	return answer.JSON(w, http.StatusCreated, item)
}

// List lists items by id, a page at a time.
func (h *Handlers) List(w http.ResponseWriter, r *http.Request) error {
	after, limit, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	found, err := h.items.page(r.Context(), after, limit+1)
	if err != nil {
		return err
	}
	if len(found) <= limit {
		return answer.JSON(w, http.StatusOK, page{Items: found})
	}
	return answer.JSON(w, http.StatusOK, page{Items: found[:limit], Next: &found[limit-1].ID})
}

// Get returns an item.
func (h *Handlers) Get(w http.ResponseWriter, r *http.Request) error {
	id, ok := number(r.PathValue("id"))
	if !ok {
		return problems.NotFound()
	}
	item, err := h.items.get(r.Context(), id)
	if err != nil {
		return err
	}
	if item == nil {
		return noSuchItem()
	}
	return answer.JSON(w, http.StatusOK, item)
}

// Delete deletes an item.
func (h *Handlers) Delete(w http.ResponseWriter, r *http.Request) error {
	id, ok := number(r.PathValue("id"))
	if !ok {
		return problems.NotFound()
	}
	deleted, err := h.items.delete(r.Context(), id)
	if err != nil {
		return err
	}
	if !deleted {
		return noSuchItem()
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func noSuchItem() error {
	return problems.New(http.StatusNotFound, "There is no such item.")
}

// readJSON reads a body that calls itself JSON. One that is announced to be too large is not even asked for.
func readJSON(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return nil, problems.New(http.StatusUnsupportedMediaType, "The body must be application/json.")
	}
	tooLarge := problems.New(http.StatusRequestEntityTooLarge, "The body must have at most 64 KiB.")
	if r.ContentLength > bodyLimit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case err != nil:
		return nil, problems.Unprocessable(problems.Error{Location: "body", Detail: "It must be whole."})
	default:
		return body, nil
	}
}

// parseQuery reads what page is asked for, and says what is wrong with each parameter.
func parseQuery(query string) (after int64, limit int, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, 0, problems.Unprocessable(problems.Error{Location: "query", Detail: "It must be well formed."})
	}
	var wrong []problems.Error
	if values.Has("after") {
		given, ok := number(values.Get("after"))
		if !ok {
			wrong = append(wrong, problems.Error{Location: "query.after", Detail: "It must be an id."})
		}
		after = given
	}
	limit = defaultLimit
	if values.Has("limit") {
		given, ok := number(values.Get("limit"))
		if !ok || given > maxLimit {
			wrong = append(wrong, problems.Error{Location: "query.limit", Detail: "It must be a number from 1 to 100."})
		}
		limit = int(given)
	}
	if wrong != nil {
		return 0, 0, problems.Unprocessable(wrong...)
	}
	return after, limit, nil
}

// number reads a positive integer of 64 bits.
func number(text string) (int64, bool) {
	parsed, err := strconv.ParseUint(text, 10, 63)
	return int64(parsed), err == nil && parsed > 0
}
