// Package respond writes responses.
package respond

import (
	"encoding/json/v2"
	"fmt"
	"net/http"
	"strconv"
)

// JSON responds with v.
func JSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode response: %w", err)
	}
	Bytes(w, status, "application/json", body)
	return nil
}

// Bytes responds with an encoded body.
func Bytes(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails only if the client disconnected
}
