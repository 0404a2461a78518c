package items

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"example.com/app/internal/database"
)

// repository stores items in MySQL.
type repository struct {
	db *database.DB
}

func (r repository) create(ctx context.Context, name string) (Item, error) {
	item := Item{Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	const query = "INSERT INTO items (name, created_at) VALUES (?, ?)"
	result, err := r.db.ExecContext(ctx, query, item.Name, item.CreatedAt)
	if err != nil {
		return Item{}, fmt.Errorf("create item: %w", err)
	}
	if item.ID, err = result.LastInsertId(); err != nil {
		return Item{}, fmt.Errorf("create item: %w", err)
	}
	return item, nil
}

// list returns the first items after an ID.
func (r repository) list(ctx context.Context, after, limit int64) ([]Item, error) {
	const query = "SELECT id, name, created_at FROM items WHERE id > ? ORDER BY id LIMIT ?"
	rows, err := r.db.QueryContext(ctx, query, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	defer rows.Close()
	var found []Item
	for rows.Next() {
		var item Item
		if err := rows.Scan(&item.ID, &item.Name, &item.CreatedAt); err != nil {
			return nil, fmt.Errorf("list items: %w", err)
		}
		found = append(found, item)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	return found, nil
}

func (r repository) get(ctx context.Context, id int64) (Item, error) {
	var item Item
	row := r.db.QueryRowContext(ctx, "SELECT id, name, created_at FROM items WHERE id = ?", id)
	err := row.Scan(&item.ID, &item.Name, &item.CreatedAt)
	if errors.Is(err, sql.ErrNoRows) {
		err = database.ErrNotFound
	}
	if err != nil {
		return Item{}, fmt.Errorf("get item: %w", err)
	}
	return item, nil
}

func (r repository) delete(ctx context.Context, id int64) error {
	result, err := r.db.ExecContext(ctx, "DELETE FROM items WHERE id = ?", id)
	if err != nil {
		return fmt.Errorf("delete item: %w", err)
	}
	deleted, err := result.RowsAffected()
	if err == nil && deleted == 0 {
		err = database.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete item: %w", err)
	}
	return nil
}
