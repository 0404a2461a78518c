package web

import (
	"bytes"
	_ "embed"
	"encoding/json/v2"
	"net/http"

	"example.com/app/internal/respond"
)

//go:embed openapi.json
var openAPITemplate []byte

// openAPI serves the document with the version of the service.
func openAPI(version string) handlerFunc {
	quoted, _ := json.Marshal(version) // a string cannot fail
	document := bytes.Replace(openAPITemplate, []byte(`"SERVICE_VERSION"`), quoted, 1)
	return func(w http.ResponseWriter, _ *http.Request) error {
		respond.Bytes(w, http.StatusOK, "application/json", document)
		return nil
	}
}
