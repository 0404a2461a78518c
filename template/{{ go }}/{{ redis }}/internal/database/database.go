// Package database is where commands go, and a ping for readiness.
package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"app/internal/settings"
)

const (
	maxConnections = 10
	// Short, so that the ping does not meet many whose end nobody has told.
	idleTime    = 10 * time.Second
	timeout     = 5 * time.Second
	pingTimeout = time.Second
)

// ErrUnavailable says that the database does not answer.
var ErrUnavailable = errors.New("the database does not answer")

// Database is the connections of one process.
type Database struct {
	// Prefix is what every key begins with.
	Prefix string

	client *redis.Client
	// A busy pool is no reason to be sent no requests, so those that work leave the ping a connection. It is one of the
	// same pool, which may go on refusing to connect for a second after the server is back.
	working chan struct{}
	logger  *slog.Logger
}

// New sets up a pool of connections; none is opened before it is needed.
func New(settings settings.Database, logger *slog.Logger) (*Database, error) {
	logging.Disable() // it would log to standard error what it returns as errors too
	client := redis.NewClient(&redis.Options{
		Addr:                  net.JoinHostPort(settings.Host, strconv.Itoa(settings.Port)),
		Password:              settings.Password.Reveal(),
		TLSConfig:             tlsConfig(settings),
		PoolSize:              maxConnections,
		ConnMaxIdleTime:       idleTime,
		PoolTimeout:           timeout,
		DialTimeout:           timeout,
		ReadTimeout:           timeout,
		WriteTimeout:          timeout,
		ContextTimeoutEnabled: true,
		// Once more, because the pool lends connections that the server has closed. Each command may run twice.
		MaxRetries:               1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	return &Database{settings.Name, client, make(chan struct{}, maxConnections-1), logger}, nil
}

// Do lends a client, and gives up on a database that does not answer. A client that leaves meanwhile is no reason to
// give up: the driver would close the connection.
func (d *Database) Do(ctx context.Context, work func(context.Context, *redis.Client) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	select {
	case d.working <- struct{}{}:
		defer func() { <-d.working }()
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	err := work(ctx, d.client)
	if err != nil && !isAnswer(err) {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}

// isAnswer tells whether the server refuses a command, or else does not serve at all: it is not there, loads its data,
// or does not let us in.
func isAnswer(err error) bool {
	var told redis.Error
	if !errors.As(err, &told) {
		return false
	}
	code, _, _ := strings.Cut(told.Error(), " ")
	return code != "LOADING" && code != "NOAUTH" && code != "WRONGPASS"
}

// Ping tells whether the database answers within a second.
func (d *Database) Ping(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	if err := d.client.Ping(ctx).Err(); err != nil {
		d.logger.WarnContext(ctx, "The database does not answer.", "error", err)
		return false
	}
	return true
}

// Close closes every connection.
func (d *Database) Close() {
	_ = d.client.Close()
}
