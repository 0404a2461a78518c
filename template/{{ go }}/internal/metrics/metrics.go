// Package metrics exposes Prometheus metrics and runtime profiles.
package metrics

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var (
	requestDuration = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "http_request_duration_seconds",
		Help: "Duration of HTTP requests.",
	}, []string{"method", "route", "status"})
	serviceInfo = promauto.NewGaugeVec(prometheus.GaugeOpts{
		Name: "service_info",
		Help: "Version of the service.",
	}, []string{"version"})
)

// ObserveRequest records the duration of a request.
func ObserveRequest(method, route string, status int, duration time.Duration) {
	requestDuration.WithLabelValues(knownMethod(method), route, strconv.Itoa(status)).Observe(duration.Seconds())
}

// knownMethod bounds the label: clients can send any method.
func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	default:
		return "other"
	}
}

// Handler serves /metrics and /debug/pprof/.
func Handler(version string, logger *slog.Logger) http.Handler {
	serviceInfo.WithLabelValues(version).Set(1)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", recoverPanics(logger, promhttp.HandlerFor(
		prometheus.DefaultGatherer,
		promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelError)},
	)))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}

// recoverPanics responds with 500 if a metric panics.
func recoverPanics(logger *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				logger.ErrorContext(r.Context(), "metric panicked", "error", fmt.Sprint(v))
				http.Error(w, "a metric failed", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
