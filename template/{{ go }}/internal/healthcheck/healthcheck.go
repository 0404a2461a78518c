// Package healthcheck is the container's health check.
package healthcheck

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"example.com/app/internal/settings"
)

const (
	timeout = 2 * time.Second
	maxBody = 1024
)

// Run returns an error unless GET /readyz of this container returns 200.
func Run(getenv func(string) string) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	port := cmp.Or(getenv("PORT"), strconv.Itoa(settings.DefaultPort))
	url := "http://" + net.JoinHostPort("127.0.0.1", port) + "/readyz"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fmt.Errorf("PORT: %w", err)
	}
	resp, err := (&http.Transport{}).RoundTrip(req) // without a proxy
	if err != nil {
		return fmt.Errorf("GET %s: %w", url, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody))
		return fmt.Errorf("GET %s: %s: %s", url, resp.Status, body)
	}
	return nil
}
