package migrate

import (
	"context"
	"database/sql"

	"example.com/app/internal/database"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const dialect = goose.DialectPostgres

func open(db *database.DB) *sql.DB { return stdlib.OpenDBFromPool(db.Pool) }

// tryLock uses the simple protocol: a result of the extended one holds a snapshot until the transaction ends.
func tryLock(ctx context.Context, tx *sql.Tx) *sql.Row {
	return tx.QueryRowContext(
		ctx, "SELECT pg_try_advisory_xact_lock(hashtext('migrations'))", pgx.QueryExecModeSimpleProtocol,
	)
}
