package migrate

import (
	"context"
	"database/sql"

	"example.com/app/internal/database"
	"github.com/pressly/goose/v3"
)

const dialect = goose.DialectMySQL

func open(db *database.DB) *sql.DB { return db.DB }

// tryLock uses a hash: lock names belong to the whole server and have at most 64 characters.
func tryLock(ctx context.Context, tx *sql.Tx) *sql.Row {
	return tx.QueryRowContext(ctx, "SELECT GET_LOCK(SHA2(CONCAT('migrations of ', DATABASE()), 256), 0) = 1")
}
