package web

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"example.com/app/internal/health"
	"example.com/app/internal/logs"
	"example.com/app/internal/metrics"
	"example.com/app/internal/problem"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

const bodyLimit = 64 * 1024

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// withRequests adds request IDs, metrics and the access log, and recovers from panics.
func withRequests(logger *slog.Logger, probes *health.Health, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id := r.Header.Get("X-Request-ID")
		if !requestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-ID", id)
		r = r.WithContext(logs.WithRequestID(r.Context(), id))
		rec := &recorder{ResponseWriter: w, request: r, probes: probes}
		defer func() {
			failure := recover()
			if failure != nil && failure != http.ErrAbortHandler { //nolint:errorlint // net/http compares the value, too
				stack := string(debug.Stack())
				logger.ErrorContext(r.Context(), "panic", "error", fmt.Sprint(failure), "stack", stack)
				if rec.status == 0 {
					internalError().Write(rec)
					failure = nil
				}
			}
			record(logger, r, rec.finalStatus(), time.Since(start))
			if failure != nil {
				panic(http.ErrAbortHandler) // net/http closes the connection, so that the client sees a truncated response
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// record logs and measures a request.
func record(logger *slog.Logger, r *http.Request, status int, duration time.Duration) {
	_, path, _ := strings.Cut(r.Pattern, " ")
	route := cmp.Or(strings.TrimSuffix(path, "{$}"), "unmatched")
	metrics.ObserveRequest(r.Method, route, status, duration)

	if span := trace.SpanFromContext(r.Context()); span.IsRecording() && path != "" {
		span.SetName(r.Method + " " + route)
		span.SetAttributes(attribute.String("http.route", route))
	}

	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	} else if route == "/livez" || route == "/readyz" {
		level = slog.LevelDebug
	}
	logger.LogAttrs(r.Context(), level, "request",
		slog.String("method", r.Method),
		slog.String("route", route),
		slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Float64("duration", duration.Seconds()),
	)
}

// recorder records the status of a response.
type recorder struct {
	http.ResponseWriter
	request *http.Request
	probes  *health.Health
	status  int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK { // 1xx statuses are followed by another one
		r.status = status
		// net/http cancels the context of a late body, too.
		if status != http.StatusRequestTimeout && isClientGone(r.request) {
			r.status = problem.StatusClientClosedRequest
		}
		if r.probes.Stopping() {
			r.Header().Set("Connection", "close")
		}
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(body)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// finalStatus is 200, as in net/http, for a handler that wrote nothing.
func (r *recorder) finalStatus() int {
	if r.status == 0 && isClientGone(r.request) {
		return problem.StatusClientClosedRequest
	}
	return cmp.Or(r.status, http.StatusOK)
}

// withBody reads the body before the handler runs: the limit and the arrival deadline hold for every route, and the
// handler's own deadline starts when the request is complete.
func withBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		body, details := readBody(w, r)
		if details != nil {
			w.Header().Set("Connection", "close")
			details.Write(w)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *problem.Details) {
	tooLarge := problem.New(http.StatusRequestEntityTooLarge, "The body must not exceed 64 KiB.")
	if r.ContentLength > bodyLimit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err == nil {
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, problem.New(http.StatusRequestTimeout, "The body did not arrive in time.")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, clientGone()
	default:
		return nil, problem.New(http.StatusBadRequest, "The body is malformed.")
	}
}
