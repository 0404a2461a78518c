// Package migrations holds the changes of the schema, in order.
package migrations

import "embed"

// Files are the migrations, part of the program.
//
//go:embed *.sql
var Files embed.FS
