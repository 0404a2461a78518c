package web

import (
	_ "embed"
	"encoding/json"

	"app/internal/settings"
)

//go:embed openapi.json
var openapi []byte

// openapiDocument is a description of the API whose author knows all but what it is called and its version.
type openapiDocument struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Title   string `json:"title"`
		Version string `json:"version"`
	} `json:"info"`
	Paths      json.RawMessage `json:"paths"`
	Components json.RawMessage `json:"components"`
}

// document describes the API of this version.
func document(version string) openapiDocument {
	var document openapiDocument
	if err := json.Unmarshal(openapi, &document); err != nil {
		panic(err) // it is part of the program, and so is the mistake
	}
	document.Info.Title, document.Info.Version = settings.Name, version
	return document
}
