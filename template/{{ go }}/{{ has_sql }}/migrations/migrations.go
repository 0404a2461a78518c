// Package migrations embeds the schema migrations.
package migrations

import "embed"

// Files are the migrations in the format of goose.
//
//go:embed *.sql
var Files embed.FS
