package web_test

import (
	"net"
	"net/http"
	"testing"

	"example.com/app/internal/apitest"
)

func TestDatabaseUnavailable(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if err := listener.Close(); err != nil || !ok { // now nothing listens on the port
		t.Fatal(err, address)
	}
	cfg := apitest.Settings(t).Database
	cfg.Host, cfg.Port = "127.0.0.1", address.Port
	service := apitest.NewWith(t, cfg)

	if got := service.Get(t, "/livez").Status; got != http.StatusOK {
		t.Errorf("got status %d, want 200", got)
	}
	for _, path := range []string{"/readyz", "/items", "/items/1"} {
		t.Run(path, func(t *testing.T) {
			resp := service.Get(t, path)
			resp.Problem(t, http.StatusServiceUnavailable)
			if got := resp.Header.Get("Retry-After"); got == "" {
				t.Error("got no Retry-After")
			}
		})
	}
}
