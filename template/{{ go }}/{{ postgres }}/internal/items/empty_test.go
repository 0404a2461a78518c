package items_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"app/internal/database"
	"app/internal/logs"
	"app/internal/migrate"
	"app/internal/webtest"
)

// empty migrates the database and deletes the items.
func empty(t *testing.T, database *database.Database) {
	t.Helper()
	logger, _ := logs.New(t.Output(), "error")
	if err := migrate.Up(t.Context(), webtest.Settings(t).Database, logger); err != nil {
		t.Fatal(err)
	}
	err := database.Do(t.Context(), func(ctx context.Context, connection *pgxpool.Conn) error {
		_, err := connection.Exec(ctx, "DELETE FROM items")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
