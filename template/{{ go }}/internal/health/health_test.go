package health_test

import (
	"net/http"
	"strings"
	"testing"

	"app/internal/webtest"
)

func TestProbesAnswer(t *testing.T) {
	service := webtest.New(t)
	for _, path := range []string{"/livez", "/readyz"} {
		answer := service.Get(t, path)
		if answer.Status != http.StatusOK || strings.TrimSpace(answer.Body) != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", path, answer.Status, answer.Body)
		}
	}
}

func TestAStoppingServiceIsAliveButNotReady(t *testing.T) {
	service := webtest.New(t)
	service.Health.Stop()
	if answer := service.Get(t, "/livez"); answer.Status != http.StatusOK {
		t.Errorf("got %d", answer.Status)
	}
	detail, _ := service.Get(t, "/readyz").Problem(t, http.StatusServiceUnavailable)
	if detail != "The service is stopping." {
		t.Errorf("got %q", detail)
	}
}
