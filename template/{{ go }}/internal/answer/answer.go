// Package answer writes what handlers answer.
package answer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// MediaType is that of every answer but a problem.
const MediaType = "application/json"

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, value any) error {
	body, err := Encode(value)
	if err == nil {
		Write(w, MediaType, status, body)
	}
	return err
}

// Encode returns a value as JSON.
func Encode(value any) ([]byte, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return nil, fmt.Errorf("encode an answer: %w", err)
	}
	return body.Bytes(), nil
}

// Write answers with a body.
func Write(w http.ResponseWriter, mediaType string, status int, body []byte) {
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has left misses nothing
}
