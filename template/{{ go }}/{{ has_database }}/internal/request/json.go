package request

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"maps"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"example.com/app/internal/problem"
)

// Validator is a struct that checks its decoded fields.
type Validator interface {
	Validate() []problem.Field
}

// JSON decodes the body, a JSON object, into dst, a pointer to a struct, and validates it. The error lists all invalid
// members.
func JSON(r *http.Request, dst Validator) error {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return problem.New(http.StatusUnsupportedMediaType, "The body must be application/json.")
	}
	var members map[string]jsontext.Value
	if err := json.UnmarshalRead(r.Body, &members); err != nil || members == nil {
		return problem.Invalid(problem.Field{Location: "body", Detail: "Must be a JSON object in UTF-8."})
	}
	fields := decode(members, reflect.ValueOf(dst).Elem())
	for _, field := range dst.Validate() {
		sameLocation := func(other problem.Field) bool { return other.Location == field.Location }
		if !slices.ContainsFunc(fields, sameLocation) {
			fields = append(fields, field)
		}
	}
	if len(fields) > 0 {
		return problem.Invalid(fields...)
	}
	return nil
}

// decode decodes member by member, because json.Unmarshal stops at the first error.
func decode(members map[string]jsontext.Value, dst reflect.Value) []problem.Field {
	var fields []problem.Field
	for i := range dst.NumField() {
		name, _, _ := strings.Cut(dst.Type().Field(i).Tag.Get("json"), ",")
		if value, ok := members[name]; ok {
			err := json.Unmarshal(value, dst.Field(i).Addr().Interface(), json.RejectUnknownMembers(true))
			if err != nil {
				fields = append(fields, describe(name, err))
			}
			delete(members, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		fields = append(fields, problem.Field{Location: "body." + name, Detail: "Unknown field."})
	}
	return fields
}

func describe(name string, err error) problem.Field {
	field := problem.Field{Location: "body." + name, Detail: "Invalid value."}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		for token := range semantic.JSONPointer.Tokens() {
			field.Location += "." + token
		}
		if semantic.GoType != nil {
			field.Detail = "Must be of type " + semantic.GoType.Kind().String() + "."
		}
		if errors.Is(err, json.ErrUnknownName) {
			field.Detail = "Unknown field."
		}
	}
	return field
}
