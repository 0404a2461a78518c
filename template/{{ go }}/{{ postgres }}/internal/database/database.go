// Package database connects to PostgreSQL.
package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"example.com/app/internal/settings"
	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	connectTimeout = 5 * time.Second
	pingTimeout    = time.Second
	maxLifetime    = 30 * time.Minute
)

// DB is a connection pool.
type DB struct {
	*pgxpool.Pool
	// Readiness has a separate connection, because a busy pool must not fail it.
	pings *pgxpool.Pool
}

// New configures a pool. It connects when the first query needs it.
func New(cfg settings.Database) (*DB, error) {
	pool, err := newPool(cfg, cfg.PoolSize, cfg.Tracing)
	if err != nil {
		return nil, err
	}
	pings, err := newPool(cfg, 1, false)
	if err != nil {
		return nil, err
	}
	return &DB{pool, pings}, nil
}

func newPool(cfg settings.Database, size int, traced bool) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("configure pgx: %w", err)
	}
	conn := config.ConnConfig
	conn.Host = cfg.Host
	conn.Port = uint16(cfg.Port) //nolint:gosec // settings limit it to 65535
	conn.Database = cfg.Name
	conn.User = cfg.User
	conn.TLSConfig = tlsConfig(cfg)
	conn.Fallbacks = nil
	conn.ConnectTimeout = connectTimeout
	// Transaction poolers such as PgBouncer refuse start-up parameters and lose prepared statements.
	conn.RuntimeParams = map[string]string{}
	conn.DefaultQueryExecMode = pgx.QueryExecModeExec
	if traced {
		conn.Tracer = otelpgx.NewTracer(otelpgx.WithDisableAcquireTracer())
	}
	config.MaxConns = int32(size) //nolint:gosec // settings limit it to 1000
	config.MaxConnLifetime = maxLifetime
	config.BeforeConnect = func(_ context.Context, conn *pgx.ConnConfig) (err error) {
		conn.Password, err = cfg.Password()
		return err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("create pool: %w", err)
	}
	return pool, nil
}

// Ping returns an error if the server does not respond within a second.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	return db.pings.Ping(ctx)
}

// Close closes all connections.
func (db *DB) Close() {
	db.pings.Close()
	db.Pool.Close()
}

func (db *DB) reset() { db.Reset() }

// https://www.postgresql.org/docs/current/errcodes-appendix.html
func isReadOnly(err error) bool { return hasCode(err, "25006") }

func isUnavailable(err error) bool {
	// Connection exceptions, insufficient resources, operator intervention; or nothing was sent on a closed connection.
	_, isConnect := errors.AsType[*pgconn.ConnectError](err)
	return isConnect || hasCode(err, "08", "53", "57") || pgconn.SafeToRetry(err)
}

func isRefused(err error) bool {
	return hasCode(err, "28", "3D", "42501") ||
		strings.Contains(err.Error(), "server refused TLS connection") // pgx has no type for it
}

// hasCode reports whether the server returned one of the SQLSTATEs or classes.
func hasCode(err error, codes ...string) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.ContainsFunc(codes, func(code string) bool { return strings.HasPrefix(pgErr.Code, code) })
}
