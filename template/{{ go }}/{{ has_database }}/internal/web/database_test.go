package web_test

import (
	"net"
	"net/http"
	"testing"

	"app/internal/webtest"
)

// unreachable is a service whose database is at a port on which nothing listens any more.
func unreachable(t *testing.T) *webtest.Service {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address, ok := listener.Addr().(*net.TCPAddr)
	if err := listener.Close(); err != nil || !ok {
		t.Fatal(err, address)
	}
	settings := webtest.Settings(t).Database
	settings.Host, settings.Port = "127.0.0.1", address.Port
	return webtest.NewWith(t, settings)
}

func TestWithoutItsDatabaseTheServiceIsAliveButNotReady(t *testing.T) {
	service := unreachable(t)
	if answer := service.Get(t, "/livez"); answer.Status != http.StatusOK {
		t.Errorf("got %d", answer.Status)
	}
	detail, _ := service.Get(t, "/readyz").Problem(t, http.StatusServiceUnavailable)
	if detail != "The database does not answer." {
		t.Errorf("got %q", detail)
	}
}

func TestWithoutItsDatabaseItemsAreUnavailable(t *testing.T) {
	service := unreachable(t)
	for _, path := range []string{"/items", "/items/1"} {
		detail, _ := service.Get(t, path).Problem(t, http.StatusServiceUnavailable)
		if detail != "The database does not answer." {
			t.Errorf("%s: %q", path, detail)
		}
	}
}
