// Package items is the example domain: replace it with your own.
package items

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"app/internal/problems"
)

const maxNameLength = 200

// Item is what a client gets.
type Item struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
}

// newItem is what it gives.
type newItem struct {
	Name string
}

// page is some items, and the id to ask on after: null at the end.
type page struct {
	Items []Item `json:"items"`
	Next  *int64 `json:"next"`
}

// parse reads the body of a request, and says what is wrong with each part. encoding/json alone would take members in
// any case, and put another character where there is half a surrogate pair or no UTF-8.
func parse(body []byte) (newItem, error) {
	var members map[string]json.RawMessage
	if !utf8.Valid(body) || json.Unmarshal(body, &members) != nil || members == nil || hasHalfSurrogate(body) {
		return newItem{}, problems.Unprocessable(problems.Error{Location: "body", Detail: "It must be a JSON object."})
	}
	var wrong []problems.Error
	name, detail := parseName(members["name"])
	if detail != "" {
		wrong = append(wrong, problems.Error{Location: "body.name", Detail: detail})
	}
	delete(members, "name")
	for _, unknown := range slices.Sorted(maps.Keys(members)) {
		wrong = append(wrong, problems.Error{Location: "body." + unknown, Detail: "There is no such member."})
	}
	if wrong != nil {
		return newItem{}, problems.Unprocessable(wrong...)
	}
	return newItem{name}, nil
}

// parseName returns the name, or what is wrong with it.
func parseName(value json.RawMessage) (name, detail string) {
	var text *string
	if value == nil {
		return "", "It is missing."
	}
	if json.Unmarshal(value, &text) != nil || text == nil {
		return "", "It must be a string."
	}
	switch name = *text; {
	case utf8.RuneCountInString(name) > maxNameLength:
		return "", "It must have at most 200 characters."
	case strings.TrimSpace(name) == "":
		return "", "It must have something other than white space."
	case strings.ContainsRune(name, 0): // which not every database can store
		return "", "It must have no NUL."
	default:
		return name, ""
	}
}

// escapes are a whole surrogate pair, half of one, and anything else that follows a backslash.
var escapes = regexp.MustCompile(`\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(\\u[dD][89a-fA-F])|\\.`)

// hasHalfSurrogate looks for half a surrogate pair in valid JSON.
func hasHalfSurrogate(body []byte) bool {
	for _, escape := range escapes.FindAllSubmatchIndex(body, -1) {
		if escape[2] >= 0 {
			return true
		}
	}
	return false
}
