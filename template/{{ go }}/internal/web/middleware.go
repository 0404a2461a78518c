package web

import (
	"cmp"
	"crypto/rand"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"app/internal/logs"
	"app/internal/metrics"
	"app/internal/problems"
)

var requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// withRequests gives each request an id, an answer whatever happens, a measurement and a line in the log.
func withRequests(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("X-Request-ID")
		if !requestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set("X-Request-ID", id)
		r = r.WithContext(logs.WithRequestID(r.Context(), id))
		start := time.Now()
		answer := &recorder{ResponseWriter: w}
		defer func() {
			if failure := recover(); failure != nil {
				logger.ErrorContext(r.Context(), "The request failed.", "error", failure, "stack", string(debug.Stack()))
				if answer.status != 0 {
					defer panic(http.ErrAbortHandler) // half an answer is cut off, so that nobody takes it for a whole one
				} else {
					problems.Failure().Answer(answer)
				}
			}
			record(logger, r, cmp.Or(answer.status, http.StatusOK), time.Since(start))
		}()
		next.ServeHTTP(answer, r)
	})
}

// record measures and logs one request.
func record(logger *slog.Logger, r *http.Request, status int, duration time.Duration) {
	route := routeOf(r.Pattern)
	metrics.Observe(r.Method, route, status, duration)

	level := slog.LevelInfo
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	} else if route == "/livez" || route == "/readyz" {
		level = slog.LevelDebug
	}
	logger.LogAttrs(r.Context(), level, r.Method+" "+r.URL.Path,
		slog.String("method", r.Method),
		slog.String("route", route),
		slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Duration("duration", duration),
	)
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(body)
}

// Unwrap lets http.ResponseController reach what is beneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
