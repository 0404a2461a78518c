package health_test

import (
	"net/http"
	"testing"

	"example.com/app/internal/apitest"
)

func TestProbes(t *testing.T) {
	service := apitest.New(t)
	for _, path := range []string{"/livez", "/readyz"} {
		t.Run(path, func(t *testing.T) {
			got := service.Get(t, path)
			if want := `{"status":"ok"}`; got.Status != http.StatusOK || got.Body != want {
				t.Errorf("got %d %s, want 200 %s", got.Status, got.Body, want)
			}
		})
	}
}

func TestStoppingServiceIsAliveButNotReady(t *testing.T) {
	service := apitest.New(t)
	service.Health.Stop()
	if got := service.Get(t, "/livez").Status; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	resp := service.Get(t, "/readyz")
	resp.Problem(t, http.StatusServiceUnavailable)
	if got := resp.Header.Get("Retry-After"); got == "" {
		t.Error("got no Retry-After")
	}
}
