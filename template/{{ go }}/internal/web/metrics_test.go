package web_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"testing"

	"app/internal/metrics"
	"app/internal/webtest"
)

func count(t *testing.T, method, route string, status int) int {
	t.Helper()
	scraped := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", http.NoBody)
	metrics.Handler().ServeHTTP(scraped, request)
	line := regexp.MustCompile(regexp.QuoteMeta(fmt.Sprintf(
		`http_request_duration_seconds_count{method=%q,route=%q,status="%d"} `, method, route, status,
	)) + `(\d+)`).FindStringSubmatch(scraped.Body.String())
	if line == nil {
		return 0
	}
	number, err := strconv.Atoi(line[1])
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func TestRequestsAreMeasuredByMethodRouteAndStatus(t *testing.T) {
	service := webtest.New(t)
	for _, request := range []struct {
		method, path, route, counted string
		status                       int
	}{
		{"GET", "/", "/", "GET", http.StatusOK},
		{"GET", "/livez", "/livez", "GET", http.StatusOK},
		{"POST", "/livez", "/livez", "POST", http.StatusMethodNotAllowed},
		{"GET", "/nowhere/else", "unmatched", "GET", http.StatusNotFound},
		{"INVENTED", "/invented", "unmatched", "other", http.StatusNotFound},
	} {
		before := count(t, request.counted, request.route, request.status)
		service.Do(t, request.method, request.path, http.NoBody)
		if after := count(t, request.counted, request.route, request.status); after != before+1 {
			t.Errorf("%s %s is counted %d times", request.method, request.path, after-before)
		}
	}
}
