package migrate

import (
	"database/sql"

	"github.com/pressly/goose/v3"

	"app/internal/database"
	"app/internal/settings"
)

const (
	dialect = goose.DialectMySQL
	// The names of locks belong to the whole server and have at most 64 characters.
	tryLock = "SELECT GET_LOCK(SHA2(CONCAT('migrations of ', DATABASE()), 256), 0) = 1"
)

// open needs one connection for the lock and one for the migrations.
func open(settings settings.Database) (*sql.DB, error) {
	return database.Open(settings, 2)
}
