package migrate_test

import (
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"

	"example.com/app/internal/apitest"
	"example.com/app/internal/migrate"
	"example.com/app/migrations"
)

func TestUp_FailedMigration(t *testing.T) {
	const first = "0001_create_items.sql"
	items, err := fs.ReadFile(migrations.Files, first)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{
		first:           {Data: items},
		"0002_fail.sql": {Data: []byte("-- +goose Up\nSELECT nothing FROM nowhere;\n")},
	}
	if err := migrate.Up(t.Context(), apitest.New(t).DB, files, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("got no error, want one")
	}
}
