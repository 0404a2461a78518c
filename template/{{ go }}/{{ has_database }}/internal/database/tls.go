package database

import (
	"crypto/tls"

	"app/internal/settings"
)

// tlsConfig says how to check the server's certificate; it is nil to go without encryption. Those whom the system, or
// SSL_CERT_FILE, trusts are the ones to verify it by.
func tlsConfig(settings settings.Database) *tls.Config {
	switch settings.TLS {
	case "disable":
		return nil
	case "require":
		return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // encrypted is all that it has to be
	default:
		return &tls.Config{ServerName: settings.Host}
	}
}
