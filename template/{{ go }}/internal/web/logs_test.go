package web_test

import (
	"reflect"
	"testing"

	"app/internal/webtest"
)

func TestARequestIsALine(t *testing.T) {
	service := webtest.New(t)
	service.Get(t, "/nowhere?secret=1", "X-Request-ID", "one")
	lines := service.Logs(t)
	if len(lines) != 1 {
		t.Fatalf("got %v", lines)
	}
	line := lines[0]
	if duration, ok := line["duration"].(float64); !ok || duration <= 0 {
		t.Errorf("it took %v", line["duration"])
	}
	delete(line, "time")
	delete(line, "duration")
	want := map[string]any{
		"level":      "info",
		"message":    "GET /nowhere",
		"request_id": "one",
		"method":     "GET",
		"route":      "unmatched",
		"path":       "/nowhere",
		"status":     404.0,
	}
	if !reflect.DeepEqual(line, want) {
		t.Errorf("got %v", line)
	}
}

func TestGoodProbesAreDebug(t *testing.T) {
	service := webtest.New(t)
	service.Get(t, "/livez")
	if lines := service.Logs(t); lines != nil {
		t.Errorf("got %v", lines)
	}
}
