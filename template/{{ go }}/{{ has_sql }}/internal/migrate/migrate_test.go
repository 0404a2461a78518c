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
	files := fstest.MapFS{"9999_fail.sql": {Data: []byte("-- +goose Up\nSELECT nothing FROM nowhere;\n")}}
	names, err := fs.Glob(migrations.Files, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		data, err := fs.ReadFile(migrations.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = &fstest.MapFile{Data: data}
	}
	if err := migrate.Up(t.Context(), apitest.New(t).DB, files, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("got no error, want one")
	}
}
