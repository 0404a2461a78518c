package migrate

import (
	"database/sql"

	"example.com/app/internal/database"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	dialect = goose.DialectPostgres
	tryLock = "SELECT pg_try_advisory_xact_lock(hashtext('migrations'))"
)

func open(db *database.DB) *sql.DB { return stdlib.OpenDBFromPool(db.Pool) }
