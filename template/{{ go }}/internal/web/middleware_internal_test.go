package web

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/app/internal/health"
	"example.com/app/internal/logs"
)

// serve sends a request to a handler behind the middleware and returns the response and the log.
func serve(
	t *testing.T, ctx context.Context, fn handlerFunc, //nolint:revive // the test comes first
) (resp *httptest.ResponseRecorder, log string, failure any) {
	t.Helper()
	var output strings.Builder
	logger := logs.New(&output, slog.LevelInfo)
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", withErrors(logger, fn))
	resp = httptest.NewRecorder()
	func() {
		defer func() { failure = recover() }()
		handler := withRequests(logger, &health.Health{}, withBody(withProblems(mux)))
		handler.ServeHTTP(resp, httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody))
	}()
	return resp, output.String(), failure
}

func TestErrorsAreLoggedAndNotExposed(t *testing.T) {
	for _, test := range []struct {
		name string
		fn   handlerFunc
	}{
		{"panic", func(http.ResponseWriter, *http.Request) error { panic("inside") }},
		{"error", func(http.ResponseWriter, *http.Request) error { return errors.New("inside") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			resp, log, _ := serve(t, t.Context(), test.fn)
			if got := resp.Code; got != http.StatusInternalServerError {
				t.Errorf("got status %d, want 500", got)
			}
			if got := resp.Body.String(); strings.Contains(got, "inside") || resp.Header().Get("X-Request-ID") == "" {
				t.Errorf("got %s, want a problem without the error", got)
			}
			for _, want := range []string{`"error":"inside"`, `"status":500`} {
				if !strings.Contains(log, want) {
					t.Errorf("got log %s, want %s", log, want)
				}
			}
		})
	}
}

func TestPanicAfterWriteAbortsTheResponse(t *testing.T) {
	_, log, got := serve(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = w.Write([]byte("half"))
		panic("inside")
	})
	if want := http.ErrAbortHandler; got != want { //nolint:errorlint // net/http compares the value, too
		t.Errorf("got panic %v, want %v", got, want)
	}
	if want := `"status":200`; !strings.Contains(log, want) {
		t.Errorf("got log %s, want %s", log, want)
	}
}

func TestAbortHandlerIsNoError(t *testing.T) {
	resp, log, got := serve(t, t.Context(), func(http.ResponseWriter, *http.Request) error {
		panic(http.ErrAbortHandler)
	})
	if want := http.ErrAbortHandler; got != want { //nolint:errorlint // net/http compares the value, too
		t.Errorf("got panic %v, want %v", got, want)
	}
	if got := resp.Body.String(); got != "" || strings.Contains(log, `"level":"error"`) {
		t.Errorf("got body %q and log %s, want neither body nor error", got, log)
	}
}

func TestInformationalStatusIsNotFinal(t *testing.T) {
	_, log, _ := serve(t, t.Context(), func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	if want := `"status":418`; !strings.Contains(log, want) {
		t.Errorf("got log %s, want %s", log, want)
	}
}

func TestDisconnectedClientIsStatus499(t *testing.T) {
	for _, test := range []struct {
		name string
		fn   handlerFunc
	}{
		{"error", func(_ http.ResponseWriter, r *http.Request) error { return r.Context().Err() }},
		{"response", func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusOK)
			return nil
		}},
		{"nothing written", func(http.ResponseWriter, *http.Request) error { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, log, _ := serve(t, ctx, test.fn)
			if want := `"status":499`; !strings.Contains(log, want) || strings.Contains(log, `"level":"error"`) {
				t.Errorf("got log %s, want %s and no error", log, want)
			}
		})
	}
}

func TestMalformedBody(t *testing.T) {
	logger := logs.New(t.Output(), slog.LevelError)
	server := httptest.NewServer(withRequests(logger, &health.Health{}, withBody(http.NotFoundHandler())))
	t.Cleanup(server.Close)
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.StatusCode; got != http.StatusBadRequest {
		t.Errorf("got status %d, want 400", got)
	}
}
