// Package database is where queries go, and a ping for readiness.
package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"app/internal/settings"
)

const (
	maxConnections = 10
	timeout        = 5 * time.Second
	pingTimeout    = time.Second
	closeTimeout   = 2 * time.Second
)

// ErrUnavailable says that the database does not answer.
var ErrUnavailable = errors.New("the database does not answer")

// Database is the connections of one process.
type Database struct {
	pool *pgxpool.Pool
	// A busy pool is no reason to be sent no requests, so the ping has a connection of its own.
	pings  *pgxpool.Pool
	logger *slog.Logger
}

// New sets up pools of connections; none is opened before it is needed.
func New(settings settings.Database, logger *slog.Logger) (*Database, error) {
	pool, err := newPool(settings, maxConnections)
	if err != nil {
		return nil, err
	}
	pings, err := newPool(settings, 1)
	if err != nil {
		return nil, err
	}
	return &Database{pool, pings, logger}, nil
}

func newPool(settings settings.Database, size int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("configure the driver: %w", err)
	}
	configure(config.ConnConfig, settings)
	config.MaxConns = size
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return nil, fmt.Errorf("set up connections: %w", err)
	}
	return pool, nil
}

// Configure says how to connect. There is no other way to fall back to.
func Configure(settings settings.Database) (*pgx.ConnConfig, error) {
	config, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return nil, fmt.Errorf("configure the driver: %w", err)
	}
	configure(config, settings)
	return config, nil
}

func configure(config *pgx.ConnConfig, settings settings.Database) {
	config.Host = settings.Host
	config.Port = uint16(settings.Port) //nolint:gosec // it is a port
	config.Database = settings.Name
	config.User = settings.User
	config.Password = settings.Password.Reveal()
	config.TLSConfig = tlsConfig(settings)
	config.Fallbacks = nil
	config.ConnectTimeout = timeout
	// Without prepared statements, which an external pooler of connections may not keep.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
}

// Do lends a connection, and gives up on a database that does not answer. A client that leaves meanwhile is no reason
// to give up: the driver would close the connection.
func (d *Database) Do(ctx context.Context, work func(context.Context, *pgxpool.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	connection, err := d.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer connection.Release()
	err = work(ctx, connection)
	if err != nil && connection.Conn().IsClosed() {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// Ping tells whether the database answers within a second.
func (d *Database) Ping(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	if err := d.pings.Ping(ctx); err != nil {
		d.logger.WarnContext(ctx, "The database does not answer.", "error", err)
		return false
	}
	return true
}

// Close closes every connection, but does not wait for long until a server that hangs has noticed.
func (d *Database) Close() {
	closed := make(chan struct{})
	go func() {
		d.pings.Close()
		d.pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(closeTimeout):
	}
}
