package items

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"app/internal/database"
)

// repository is the items in the database; each method is a statement, which is a transaction of its own.
type repository struct {
	database *database.Database
}

// create stores a new item and returns it with its id.
func (r repository) create(ctx context.Context, name string) (Item, error) {
	item := Item{Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	err := r.database.Do(ctx, func(ctx context.Context, connection *sql.Conn) error {
		const query = "INSERT INTO items (name, created_at) VALUES (?, ?)"
		done, err := connection.ExecContext(ctx, query, item.Name, item.CreatedAt)
		if err != nil {
			return err
		}
		item.ID, err = done.LastInsertId()
		return err
	})
	return item, err
}

// page returns the first items with a greater id.
func (r repository) page(ctx context.Context, after int64, limit int) ([]Item, error) {
	found := []Item{}
	err := r.database.Do(ctx, func(ctx context.Context, connection *sql.Conn) error {
		const query = "SELECT id, name, created_at FROM items WHERE id > ? ORDER BY id LIMIT ?"
		rows, err := connection.QueryContext(ctx, query, after, limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var item Item
			if err := rows.Scan(&item.ID, &item.Name, &item.CreatedAt); err != nil {
				return err
			}
			found = append(found, item)
		}
		return rows.Err()
	})
	return found, err
}

// get returns the item with this id, if any.
func (r repository) get(ctx context.Context, id int64) (found *Item, err error) {
	err = r.database.Do(ctx, func(ctx context.Context, connection *sql.Conn) error {
		var item Item
		row := connection.QueryRowContext(ctx, "SELECT id, name, created_at FROM items WHERE id = ?", id)
		err := row.Scan(&item.ID, &item.Name, &item.CreatedAt)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		found = &item
		return err
	})
	return found, err
}

// delete deletes the item with this id and tells whether there was one.
func (r repository) delete(ctx context.Context, id int64) (deleted bool, err error) {
	err = r.database.Do(ctx, func(ctx context.Context, connection *sql.Conn) error {
		done, err := connection.ExecContext(ctx, "DELETE FROM items WHERE id = ?", id)
		if err != nil {
			return err
		}
		number, err := done.RowsAffected()
		deleted = number == 1
		return err
	})
	return deleted, err
}
