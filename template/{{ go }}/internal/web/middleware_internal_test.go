package web

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"app/internal/logs"
)

func TestAFailureTellsNothingOfTheInside(t *testing.T) {
	var output strings.Builder
	logger, _ := logs.New(&output, "info")
	router := newRouter(logger)
	router.handle("/panic", methods{http.MethodGet: func(http.ResponseWriter, *http.Request) error {
		panic("the inside")
	}})
	router.handle("/error", methods{http.MethodGet: func(http.ResponseWriter, *http.Request) error {
		return http.ErrServerClosed
	}})
	for _, path := range []string{"/panic", "/error"} {
		answer := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
		withRequests(logger, router).ServeHTTP(answer, request)
		if answer.Code != http.StatusInternalServerError || answer.Header().Get("X-Request-ID") == "" {
			t.Errorf("%s: %d %v", path, answer.Code, answer.Header())
		}
		got := answer.Body.String()
		if !strings.Contains(got, `"The service failed to answer."`) || strings.Contains(got, "inside") {
			t.Errorf("%s: %s", path, got)
		}
	}
	for _, told := range []string{"the inside", http.ErrServerClosed.Error(), `"level":"error","message":"GET /panic"`} {
		if !strings.Contains(output.String(), told) {
			t.Errorf("the log does not tell %q: %s", told, output.String())
		}
	}
}

func TestHalfAnAnswerIsCutOff(t *testing.T) {
	logger, _ := logs.New(io.Discard, "error")
	handler := withRequests(logger, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("the inside")
	}))
	defer func() {
		if failure := recover(); failure != http.ErrAbortHandler { //nolint:errorlint // it is a value, not an error
			t.Errorf("the server is told %v", failure)
		}
	}()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
	handler.ServeHTTP(httptest.NewRecorder(), request)
}
