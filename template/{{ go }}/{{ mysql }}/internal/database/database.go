// Package database is where queries go, and a ping for readiness.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/go-sql-driver/mysql"

	"app/internal/settings"
)

const (
	maxConnections = 10
	idleTime       = 5 * time.Minute
	timeout        = 5 * time.Second
	pingTimeout    = time.Second

	// What the server says to queries that run while it stops: https://dev.mysql.com/doc/mysql-errors/8.4/en/.
	serverShutdown = 1053
)

// ErrUnavailable says that the database does not answer.
var ErrUnavailable = errors.New("the database does not answer")

// Database is the connections of one process.
type Database struct {
	pool *sql.DB
	// A busy pool is no reason to be sent no requests, so the ping has a connection of its own.
	pings  *sql.DB
	logger *slog.Logger
}

// New sets up pools of connections; none is opened before it is needed.
func New(settings settings.Database, logger *slog.Logger) (*Database, error) {
	pool, err := Open(settings, maxConnections)
	if err != nil {
		return nil, err
	}
	pings, err := Open(settings, 1)
	if err != nil {
		return nil, err
	}
	return &Database{pool, pings, logger}, nil
}

// Open sets up a pool of this size.
func Open(settings settings.Database, size int) (*sql.DB, error) {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port))
	config.DBName = settings.Name
	config.User = settings.User
	config.Passwd = settings.Password.Reveal()
	config.TLS = tlsConfig(settings)
	config.Timeout = timeout
	config.ParseTime = true
	config.InterpolateParams = true    // one round trip a query, not three
	config.Logger = &mysql.NopLogger{} // it would log to standard error what it returns as errors too
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("configure the driver: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxIdleTime(idleTime)
	return pool, nil
}

// Do lends a connection, and gives up on a database that does not answer. A client that leaves meanwhile is no reason
// to give up: the driver would close the connection.
func (d *Database) Do(ctx context.Context, work func(context.Context, *sql.Conn) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	connection, err := d.pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer connection.Close()
	err = work(ctx, connection)
	if err != nil && (ctx.Err() != nil || isBroken(err)) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isBroken tells whether the connection broke, or is about to.
func isBroken(err error) bool {
	if told, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return told.Number == serverShutdown
	}
	return errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn)
}

// Ping tells whether the database answers within a second.
func (d *Database) Ping(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	if err := d.pings.PingContext(ctx); err != nil {
		d.logger.WarnContext(ctx, "The database does not answer.", "error", err)
		return false
	}
	return true
}

// Close closes every connection.
func (d *Database) Close() {
	_ = d.pings.Close()
	_ = d.pool.Close()
}
