// Package healthcheck is the probe of the container.
package healthcheck

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"

	"app/internal/settings"
)

const timeout = 2 * time.Second

// Ready tells whether the service in this container is ready.
func Ready(getenv func(string) string) bool {
	port := getenv("PORT")
	if port == "" {
		port = strconv.Itoa(settings.DefaultPort)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	url := "http://" + net.JoinHostPort("127.0.0.1", port) + "/readyz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := (&http.Transport{}).RoundTrip(request) // no proxy, no redirect
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}
