package database

import (
	"crypto/tls"

	"example.com/app/internal/settings"
)

// tlsConfig returns nil for a connection without TLS. It verifies by the system's CAs and SSL_CERT_FILE.
func tlsConfig(cfg settings.Database) *tls.Config {
	switch cfg.TLS {
	case "disable":
		return nil
	case "require":
		return &tls.Config{InsecureSkipVerify: true} //nolint:gosec // DATABASE_TLS=require requires encryption only
	default:
		return &tls.Config{ServerName: cfg.Host}
	}
}
