package migrate

import (
	"database/sql"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"app/internal/database"
	"app/internal/settings"
)

const (
	dialect = goose.DialectPostgres
	tryLock = "SELECT pg_try_advisory_lock(hashtext('migrations'))"
)

func open(settings settings.Database) (*sql.DB, error) {
	config, err := database.Configure(settings)
	if err != nil {
		return nil, err
	}
	return stdlib.OpenDB(*config), nil
}
