package orders_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"example.com/app/internal/apitest"
	"example.com/app/internal/database"
	"example.com/app/internal/migrate"
	"example.com/app/migrations"
)

func TestMain(m *testing.M) {
	if err := migrateUp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func migrateUp() error {
	cfg, err := apitest.LoadSettings()
	if err != nil {
		return err
	}
	db, err := database.New(cfg.Database)
	if err != nil {
		return err
	}
	defer db.Close()
	return migrate.Up(context.Background(), db, migrations.Files, slog.New(slog.DiscardHandler))
}
