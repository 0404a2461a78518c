package metrics_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/app/internal/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	handler := metrics.Handler("1.2.3", slog.New(slog.DiscardHandler))
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return rec
}

func TestServiceInfo(t *testing.T) {
	if got, want := get(t, "/metrics").Body.String(), `service_info{version="1.2.3"} 1`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestProfiles(t *testing.T) {
	if got := get(t, "/debug/pprof/heap").Code; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
}

func TestPanickingMetricFailsTheScrape(t *testing.T) {
	broken := true
	promauto.NewGaugeFunc(prometheus.GaugeOpts{Name: "broken", Help: "Panics."}, func() float64 {
		if broken {
			panic("broken")
		}
		return 0
	})
	if got := get(t, "/metrics").Code; got != http.StatusInternalServerError {
		t.Errorf("got status %d, want 500", got)
	}
	broken = false
	if got := get(t, "/metrics").Code; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
}
