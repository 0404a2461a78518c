// Package migrate changes the schema of the database.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"github.com/pressly/goose/v3"

	"app/internal/database"
	"app/internal/settings"
	"app/migrations"
)

const (
	wait  = 60 * time.Second
	pause = time.Second
)

// Run applies what is missing of migrations/ as soon as the database answers, until a signal.
func Run(settings settings.Settings, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := waitForDatabase(ctx, settings.Database, logger); err != nil {
		return err
	}
	return Up(ctx, settings.Database, logger)
}

// waitForDatabase returns when the database answers, or it is too late.
func waitForDatabase(ctx context.Context, settings settings.Database, logger *slog.Logger) error {
	db, err := database.New(settings, logger)
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(wait); time.Now().Before(deadline); {
		if db.Ping(ctx) {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("a signal came before the database answered")
		case <-time.After(pause):
		}
	}
	return fmt.Errorf("the database did not answer in %s", wait)
}

// Up applies what is missing, under a lock, so that any number of processes may migrate at once.
func Up(ctx context.Context, settings settings.Database, logger *slog.Logger) error {
	db, err := open(settings)
	if err != nil {
		return err
	}
	defer db.Close()
	provider, err := goose.NewProvider(dialect, db, migrations.Files)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	held, err := lock(ctx, db)
	if err != nil {
		return fmt.Errorf("take the lock: %w", err)
	}
	defer held.Close()
	applied, err := provider.Up(ctx)
	for _, migration := range applied {
		logger.InfoContext(ctx, "A migration is applied.", "migration", migration.Source.Path)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// lock returns a connection that has the lock until it is closed. It asks again and again: a statement that waits holds
// a snapshot, for which others would wait in turn. Goose's own locks leave out the making of its table.
func lock(ctx context.Context, db *sql.DB) (io.Closer, error) {
	connection, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	for {
		var held bool
		if err := connection.QueryRowContext(ctx, tryLock).Scan(&held); err != nil {
			return nil, errors.Join(err, connection.Close())
		}
		if held {
			return connection, nil
		}
		time.Sleep(pause)
	}
}
