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

// DB is a connection pool.
type DB struct {
	*sql.DB
	size int
	// Readiness has a separate connection, because a busy pool must not fail it.
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
	var pool *sql.DB
	if cfg.Tracing {
		pool = otelsql.OpenDB(connector,
			otelsql.WithAttributes(attribute.String("db.system.name", "mysql")),
			otelsql.WithSpanOptions(otelsql.SpanOptions{
				DisableErrSkip: true, OmitConnResetSession: true, OmitConnectorConnect: true, OmitRows: true,
			}),
		)
	} else {
		pool = sql.OpenDB(connector)
	}
	return &DB{limit(pool, cfg.PoolSize), cfg.PoolSize, limit(sql.OpenDB(connector), 1)}, nil
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

func (db *DB) reset() {
	db.SetMaxIdleConns(0) // closes them
	db.SetMaxIdleConns(db.size)
}

// 1290 --read-only, 1792 read-only transaction, 1836 read-only mode:
// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
func isReadOnly(err error) bool { return hasNumber(err, 1290, 1792, 1836) }

func isUnavailable(err error) bool {
	// 1040 too many connections, 1053 shutdown, 1203 too many connections of the user.
	return hasNumber(err, 1040, 1053, 1203) || isRefused(err) ||
		errors.Is(err, mysql.ErrInvalidConn) || errors.Is(err, driver.ErrBadConn)
}

func isRefused(err error) bool {
	// 1044 no access to the database, 1045 wrong user or password, 1049 unknown database, 1698 no password,
	// 3159 TLS required.
	return hasNumber(err, 1044, 1045, 1049, 1698, 3159) || errors.Is(err, mysql.ErrNoTLS)
}

func hasNumber(err error, numbers ...uint16) bool {
	mysqlErr, ok := errors.AsType[*mysql.MySQLError](err)
	return ok && slices.Contains(numbers, mysqlErr.Number)
}
