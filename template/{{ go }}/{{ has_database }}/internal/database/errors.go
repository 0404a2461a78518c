package database

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"io/fs"
	"net"
)

// ErrNotFound is the error of repositories for a missing row.
var ErrNotFound = errors.New("not found")

// IsUnavailable reports whether err is not about the statement, but about the server or the connection to it. If the
// server became read-only in a failover, it closes the pooled connections, which all lead there.
func (db *DB) IsUnavailable(err error) bool {
	if isReadOnly(err) {
		db.reset()
		return true
	}
	_, isNetwork := errors.AsType[net.Error](err)
	_, isPassword := errors.AsType[*fs.PathError](err)
	return isNetwork || isPassword || isTLS(err) || isUnavailable(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// IsRefused reports whether the server refuses the connection until settings change: wrong password, missing database,
// TLS.
func IsRefused(err error) bool { return isTLS(err) || isRefused(err) }

func isTLS(err error) bool {
	_, isCertificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, isAlert := errors.AsType[tls.AlertError](err)
	_, isRecord := errors.AsType[tls.RecordHeaderError](err)
	return isCertificate || isAlert || isRecord
}
