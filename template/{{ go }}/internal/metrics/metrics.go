// Package metrics measures requests for Prometheus.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

var requestDuration = promauto.NewHistogramVec(prometheus.HistogramOpts{
	Name: "http_request_duration_seconds",
	Help: "How long requests took.",
}, []string{"method", "route", "status"})

// Observe measures a request.
func Observe(method, route string, status int, duration time.Duration) {
	requestDuration.WithLabelValues(known(method), route, strconv.Itoa(status)).Observe(duration.Seconds())
}

// known keeps clients from inventing methods: every new label value would stay in memory.
func known(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	default:
		return "other"
	}
}

// Handler answers GET /metrics, with what the runtime measures of itself too.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.Handler())
	return mux
}
