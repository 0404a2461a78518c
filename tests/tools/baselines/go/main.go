// GET / with net/http: request ids, an access log and a histogram by the middleware that its users commonly add.
package main

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	sloghttp "github.com/samber/slog-http"
)

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	duration := promauto.NewHistogramVec(
		prometheus.HistogramOpts{Name: "http_request_duration_seconds", Help: "Duration of requests."},
		[]string{"code", "method"},
	)

	router := chi.NewRouter()
	router.Use(middleware.RequestID)
	router.Use(sloghttp.New(logger))
	router.Use(func(next http.Handler) http.Handler { return promhttp.InstrumentHandlerDuration(duration, next) })
	router.Get("/", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Request-ID", middleware.GetReqID(r.Context()))
		_ = json.NewEncoder(w).Encode(map[string]string{"name": "baseline", "version": "dev"})
	})

	go func() { panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("METRICS_PORT"), promhttp.Handler())) }()
	panic(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), router))
}
