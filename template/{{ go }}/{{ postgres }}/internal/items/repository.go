package items

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/app/internal/database"
	"github.com/jackc/pgx/v5"
)

// repository stores items in PostgreSQL.
type repository struct {
	db *database.DB
}

func (r repository) create(ctx context.Context, name string) (Item, error) {
	item := Item{Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	const query = "INSERT INTO items (name, created_at) VALUES ($1, $2) RETURNING id"
	if err := r.db.QueryRow(ctx, query, item.Name, item.CreatedAt).Scan(&item.ID); err != nil {
		return Item{}, fmt.Errorf("create item: %w", err)
	}
	return item, nil
}

// list returns the first items after an ID.
func (r repository) list(ctx context.Context, after, limit int64) ([]Item, error) {
	const query = "SELECT id, name, created_at FROM items WHERE id > $1 ORDER BY id LIMIT $2"
	rows, _ := r.db.Query(ctx, query, after, limit) // CollectRows returns the error
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	return found, nil
}

func (r repository) get(ctx context.Context, id int64) (Item, error) {
	rows, _ := r.db.Query(ctx, "SELECT id, name, created_at FROM items WHERE id = $1", id)
	item, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		err = database.ErrNotFound
	}
	if err != nil {
		return Item{}, fmt.Errorf("get item: %w", err)
	}
	return item, nil
}

func (r repository) delete(ctx context.Context, id int64) error {
	result, err := r.db.Exec(ctx, "DELETE FROM items WHERE id = $1", id)
	if err == nil && result.RowsAffected() == 0 {
		err = database.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete item: %w", err)
	}
	return nil
}

// scan converts times to UTC: pgx returns them in the zone of the process.
func scan(row pgx.CollectableRow) (item Item, err error) {
	err = row.Scan(&item.ID, &item.Name, &item.CreatedAt)
	item.CreatedAt = item.CreatedAt.UTC()
	return item, err
}
