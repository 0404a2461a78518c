package web_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"

	"example.com/app/internal/apitest"
	"example.com/app/internal/metrics"
)

func count(t *testing.T, method, route string, status int) int {
	t.Helper()
	scrape := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	metrics.Handler("dev", slog.New(slog.DiscardHandler)).ServeHTTP(scrape, req)
	line := regexp.MustCompile(regexp.QuoteMeta(fmt.Sprintf(
		`http_request_duration_seconds_count{method=%q,route=%q,status="%d"} `, method, route, status,
	)) + `(\d+)`).FindStringSubmatch(scrape.Body.String())
	if line == nil {
		return 0
	}
	n, err := strconv.Atoi(line[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRequestsAreMeasured(t *testing.T) {
	service := apitest.New(t)
	for _, test := range []struct {
		name, method, path, labelMethod, labelRoute string
		labelStatus                                 int
	}{
		{"root", "GET", "/", "GET", "/", http.StatusOK},
		{"probe", "GET", "/livez", "GET", "/livez", http.StatusOK},
		{"method not allowed", "POST", "/livez", "POST", "/livez", http.StatusMethodNotAllowed},
		{"unknown path", "GET", "/nowhere/else", "GET", "unmatched", http.StatusNotFound},
		{"unknown method", "INVENTED", "/invented", "other", "unmatched", http.StatusNotFound},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := count(t, test.labelMethod, test.labelRoute, test.labelStatus)
			service.Do(t, test.method, test.path, http.NoBody)
			if got, want := count(t, test.labelMethod, test.labelRoute, test.labelStatus), before+1; got != want {
				t.Errorf("got count %d, want %d", got, want)
			}
		})
	}
}
