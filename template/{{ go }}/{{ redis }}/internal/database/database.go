// Package database connects to Redis.
package database

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"example.com/app/internal/settings"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
	"go.opentelemetry.io/otel/trace"
)

const (
	timeout     = 5 * time.Second
	pingTimeout = time.Second
	maxLifetime = 30 * time.Minute
	maxIdleTime = 5 * time.Minute
)

// The parent of probes, which are not traced.
var unsampled = trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})

// DB is a connection pool.
type DB struct {
	// Prefix is the prefix of every key.
	Prefix string

	cfg    settings.Database
	client atomic.Pointer[redis.Client]
	// Readiness has a separate connection, because a busy pool must not fail it.
	pings *redis.Client
}

// New configures a pool. It connects when the first command needs it.
func New(cfg settings.Database) (*DB, error) {
	logging.Disable() // it would print errors that it returns, too
	db := &DB{Prefix: cfg.Name, cfg: cfg, pings: newClient(cfg, 1)}
	client, err := newTracedClient(cfg)
	db.client.Store(client)
	return db, err
}

// Client returns the client. It is replaced after a failover: do not keep it.
func (db *DB) Client() *redis.Client { return db.client.Load() }

func newTracedClient(cfg settings.Database) (*redis.Client, error) {
	client := newClient(cfg, cfg.PoolSize)
	if cfg.Tracing {
		if err := redisotel.InstrumentTracing(client, redisotel.WithDBStatement(false), redisotel.WithDialFilter(true)); err != nil {
			return nil, fmt.Errorf("trace commands: %w", err)
		}
	}
	return client, nil
}

func newClient(cfg settings.Database, size int) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)),
		CredentialsProviderContext: func(context.Context) (username, password string, err error) {
			password, err = cfg.Password()
			return "", password, err
		},
		TLSConfig:             tlsConfig(cfg),
		PoolSize:              size,
		ConnMaxLifetime:       maxLifetime,
		ConnMaxIdleTime:       maxIdleTime,
		PoolTimeout:           timeout,
		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		ContextTimeoutEnabled: true,
		// One retry covers connections that the server has closed. A command can run twice.
		MaxRetries:               1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
}

// Ping returns an error if the server does not respond within a second.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	if err := db.pings.Ping(ctx).Err(); err != nil {
		return err
	}
	// After several failures, an empty pool returns the last one for up to a second before it dials again.
	if client := db.Client(); client.PoolStats().TotalConns == 0 {
		return client.Ping(trace.ContextWithSpanContext(ctx, unsampled)).Err()
	}
	return nil
}

// Close closes all connections.
func (db *DB) Close() {
	_ = db.pings.Close()
	_ = db.Client().Close()
}

// reset replaces the client, because go-redis cannot close the connections of a pool.
func (db *DB) reset() {
	client, err := newTracedClient(db.cfg)
	if err == nil {
		_ = db.client.Swap(client).Close()
	}
}

// https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors
func isReadOnly(err error) bool { return hasCode(err, "READONLY", "MASTERDOWN") }

func isUnavailable(err error) bool {
	return errors.Is(err, redis.ErrPoolTimeout) || errors.Is(err, redis.ErrPoolExhausted) ||
		errors.Is(err, redis.ErrClosed) || isRefused(err) || hasCode(err, "CLUSTERDOWN", "LOADING", "MISCONF", "OOM") ||
		hasCode(err, "ERR") && strings.Contains(err.Error(), "max number of clients")
}

func isRefused(err error) bool { return hasCode(err, "NOAUTH", "NOPERM", "WRONGPASS") }

func hasCode(err error, codes ...string) bool {
	redisErr, ok := errors.AsType[redis.Error](err)
	if !ok {
		return false
	}
	code, _, _ := strings.Cut(redisErr.Error(), " ")
	return slices.Contains(codes, code)
}
