// Package database connects to MySQL.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"example.com/app/internal/settings"
	"github.com/XSAM/otelsql"
	"github.com/go-sql-driver/mysql"
	"go.opentelemetry.io/otel/attribute"
)

const (
	connectTimeout = 5 * time.Second
	pingTimeout    = time.Second
	maxLifetime    = 30 * time.Minute
	maxIdleTime    = 5 * time.Minute
)

// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
var (
	unavailable = []uint16{
		1040, // too many connections
		1053, // server shutdown in progress
		1203, // too many connections of the user
		1290, // server is read-only
		1792, // transaction is read-only
		1836, // server is read-only
	}
	refused = []uint16{
		1044, // access denied to the database
		1045, // access denied
		1049, // unknown database
		1698, // access denied
		3159, // TLS required
	}
)

// DB is a connection pool.
type DB struct {
	*sql.DB
	// Readiness has a connection of its own, because a busy pool must not fail it.
	pings *sql.DB
}

// New configures a pool. It connects when the first query needs it.
func New(cfg settings.Database) (*DB, error) {
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port))
	config.DBName = cfg.Name
	config.User = cfg.User
	config.TLS = tlsConfig(cfg)
	config.Timeout = connectTimeout
	config.ParseTime = true
	config.InterpolateParams = true    // no prepared statements: one round trip, and poolers lose them
	config.RejectReadOnly = true       // after a failover, closes the connection to the former primary
	config.Logger = &mysql.NopLogger{} // it would print errors that it returns, too
	beforeConnect := func(_ context.Context, config *mysql.Config) (err error) {
		config.Passwd, err = cfg.Password()
		return err
	}
	if err := config.Apply(mysql.BeforeConnect(beforeConnect)); err != nil {
		return nil, fmt.Errorf("configure the driver: %w", err)
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("configure the driver: %w", err)
	}
	pool := sql.OpenDB(connector)
	if cfg.Tracing {
		pool = otelsql.OpenDB(connector,
			otelsql.WithAttributes(attribute.String("db.system.name", "mysql")),
			otelsql.WithSpanOptions(otelsql.SpanOptions{
				DisableErrSkip: true, OmitConnResetSession: true, OmitConnectorConnect: true, OmitRows: true,
			}),
		)
	}
	return &DB{limit(pool, cfg.PoolSize), limit(sql.OpenDB(connector), 1)}, nil
}

func limit(pool *sql.DB, size int) *sql.DB {
	pool.SetMaxOpenConns(size)
	pool.SetMaxIdleConns(size)
	pool.SetConnMaxIdleTime(maxIdleTime)
	pool.SetConnMaxLifetime(maxLifetime)
	return pool
}

// Ping returns an error if the server does not respond within a second.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	return db.pings.PingContext(ctx)
}

// Close closes all connections.
func (db *DB) Close() {
	_ = db.pings.Close()
	_ = db.DB.Close()
}

func isUnavailable(err error) bool {
	if mysqlErr, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return slices.Contains(unavailable, mysqlErr.Number) || isRefused(err)
	}
	return errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn) || isRefused(err)
}

func isRefused(err error) bool {
	mysqlErr, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(refused, mysqlErr.Number) || errors.Is(err, mysql.ErrNoTLS)
}
