package items

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"app/internal/database"
)

// repository is the items in the database; each method is a statement, which is a transaction of its own.
type repository struct {
	database *database.Database
}

// create stores a new item and returns it with its id.
func (r repository) create(ctx context.Context, name string) (Item, error) {
	item := Item{Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	err := r.database.Do(ctx, func(ctx context.Context, connection *pgxpool.Conn) error {
		const query = "INSERT INTO items (name, created_at) VALUES ($1, $2) RETURNING id"
		return connection.QueryRow(ctx, query, item.Name, item.CreatedAt).Scan(&item.ID)
	})
	return item, err
}

// page returns the first items with a greater id.
func (r repository) page(ctx context.Context, after int64, limit int) (found []Item, err error) {
	err = r.database.Do(ctx, func(ctx context.Context, connection *pgxpool.Conn) error {
		const query = "SELECT id, name, created_at FROM items WHERE id > $1 ORDER BY id LIMIT $2"
		rows, _ := connection.Query(ctx, query, after, limit) // an error is met again in rows
		found, err = pgx.CollectRows(rows, scan)
		return err
	})
	return found, err
}

// get returns the item with this id, if any.
func (r repository) get(ctx context.Context, id int64) (found *Item, err error) {
	err = r.database.Do(ctx, func(ctx context.Context, connection *pgxpool.Conn) error {
		rows, _ := connection.Query(ctx, "SELECT id, name, created_at FROM items WHERE id = $1", id)
		item, err := pgx.CollectExactlyOneRow(rows, scan)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		found = &item
		return err
	})
	return found, err
}

// delete deletes the item with this id and tells whether there was one.
func (r repository) delete(ctx context.Context, id int64) (deleted bool, err error) {
	err = r.database.Do(ctx, func(ctx context.Context, connection *pgxpool.Conn) error {
		done, err := connection.Exec(ctx, "DELETE FROM items WHERE id = $1", id)
		deleted = done.RowsAffected() == 1
		return err
	})
	return deleted, err
}

// scan reads a row, whose time the driver gives in the zone of this machine.
func scan(row pgx.CollectableRow) (Item, error) {
	var item Item
	err := row.Scan(&item.ID, &item.Name, &item.CreatedAt)
	item.CreatedAt = item.CreatedAt.UTC()
	return item, err
}
