package web_test

import (
	"reflect"
	"testing"

	"example.com/app/internal/apitest"
)

func TestRequestIsLogged(t *testing.T) {
	service := apitest.New(t)
	service.Get(t, "/nowhere?secret=1", "X-Request-ID", "one")
	lines := service.Logs(t)
	if len(lines) != 1 {
		t.Fatalf("got %v, want one line", lines)
	}
	got := lines[0]
	if duration, ok := got["duration"].(float64); !ok || duration <= 0 || duration > 5 {
		t.Errorf("got duration %v, want seconds", got["duration"])
	}
	delete(got, "time")
	delete(got, "duration")
	want := map[string]any{
		"level": "info", "message": "request", "request_id": "one",
		"method": "GET", "route": "unmatched", "path": "/nowhere", "status": 404.0,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestSuccessfulProbesAreDebug(t *testing.T) {
	service := apitest.New(t)
	service.Get(t, "/livez")
	if got := service.Logs(t); got != nil {
		t.Errorf("got %v, want no lines", got)
	}
}
