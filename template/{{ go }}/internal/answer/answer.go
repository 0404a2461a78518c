// Package answer writes what handlers answer.
package answer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// JSON answers with a value.
func JSON(w http.ResponseWriter, status int, value any) error {
	return As(w, "application/json", status, value)
}

// As answers with a value as JSON of a media type.
func As(w http.ResponseWriter, mediaType string, status int, value any) error {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // a client that has left misses nothing
	return nil
}
