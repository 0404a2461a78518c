// Package migrate applies schema migrations.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/signal"
	"syscall"
	"time"

	"example.com/app/internal/database"
	"example.com/app/internal/settings"
	"example.com/app/migrations"
	"github.com/pressly/goose/v3"
)

const (
	waitTimeout = 60 * time.Second
	pause       = time.Second
	poolSize    = 2 // the lock and the migrations
)

// Run waits for the database and applies pending migrations, until a signal.
func Run(cfg settings.Settings, logger *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cfg.Database.PoolSize, cfg.Database.Tracing = poolSize, false
	db, err := database.New(cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := waitForDatabase(ctx, db, logger); err != nil {
		return err
	}
	return Up(ctx, db, migrations.Files, logger)
}

func waitForDatabase(ctx context.Context, db *database.DB, logger *slog.Logger) error {
	for deadline := time.Now().Add(waitTimeout); ; {
		err := db.Ping(ctx)
		switch {
		case err == nil:
			return nil
		case database.IsRefused(err):
			return fmt.Errorf("connect to the database: %w", err)
		case time.Now().After(deadline):
			return fmt.Errorf("database unavailable for %s: %w", waitTimeout, err)
		}
		logger.WarnContext(ctx, "database unavailable, retrying", "error", err)
		if err := sleep(ctx); err != nil {
			return err
		}
	}
}

// Up applies pending migrations under a lock, so any number of processes can migrate at the same time.
func Up(ctx context.Context, db *database.DB, files fs.FS, logger *slog.Logger) error {
	conns := open(db)
	defer conns.Close()
	provider, err := goose.NewProvider(dialect, conns, files)
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	tx, err := lock(ctx, conns)
	if err != nil {
		return fmt.Errorf("lock the schema: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // it wrote nothing
	applied, err := provider.Up(ctx)
	for _, migration := range applied {
		logger.InfoContext(ctx, "migration applied", "migration", migration.Source.Path)
	}
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema version: %w", err)
	}
	if current > target {
		logger.WarnContext(ctx, "schema is ahead of this version of the service", "schema", current, "service", target)
	} else {
		logger.InfoContext(ctx, "schema is up to date", "schema", current)
	}
	return nil
}

// lock returns a transaction that has the lock; transaction poolers keep its connection. The locks of goose do not cover
// the creation of its table. Polling holds no snapshot, which CREATE INDEX CONCURRENTLY would wait for.
func lock(ctx context.Context, db *sql.DB) (*sql.Tx, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, err
	}
	for {
		var locked bool
		if err := tryLock(ctx, tx).Scan(&locked); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
		if locked {
			return tx, nil
		}
		if err := sleep(ctx); err != nil {
			return nil, errors.Join(err, tx.Rollback())
		}
	}
}

func sleep(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return errors.New("stopped by a signal")
	case <-time.After(pause):
		return nil
	}
}
