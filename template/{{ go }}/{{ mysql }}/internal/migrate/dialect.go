package migrate

import (
	"database/sql"

	"example.com/app/internal/database"
	"github.com/pressly/goose/v3"
)

const (
	dialect = goose.DialectMySQL
	// Lock names belong to the whole server and have at most 64 characters.
	tryLock = "SELECT GET_LOCK(SHA2(CONCAT('migrations of ', DATABASE()), 256), 0) = 1"
)

func open(db *database.DB) *sql.DB { return db.DB }
