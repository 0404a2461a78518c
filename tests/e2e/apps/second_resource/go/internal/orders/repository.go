package orders

import (
	"context"
	"errors"
	"fmt"
	"time"
	"uuid"

	"example.com/app/internal/database"
	"github.com/jackc/pgx/v5"
)

// filters select orders. A zero value selects all.
type filters struct {
	customer string
	statuses []string
	gift     *bool
	newest   bool
}

// repository stores orders in PostgreSQL.
type repository struct {
	db *database.DB
}

func (r repository) create(ctx context.Context, n newOrder) (Order, error) {
	order := Order{
		ID:        uuid.NewV7(),
		Customer:  n.Customer,
		Email:     n.Email,
		Status:    n.Status,
		Gift:      n.Gift,
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	const query = "INSERT INTO orders (id, customer, email, status, gift, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
	_, err := r.db.Exec(ctx, query, order.ID, order.Customer, order.Email, order.Status, order.Gift, order.CreatedAt)
	if err != nil {
		return Order{}, fmt.Errorf("create order: %w", err)
	}
	return order, nil
}

func (r repository) list(ctx context.Context, f filters, limit int) ([]Order, error) {
	query := `SELECT id, customer, email, status, gift, created_at FROM orders
		WHERE ($1 = '' OR customer = $1) AND ($2::text[] IS NULL OR status = ANY($2)) AND ($3::boolean IS NULL OR gift = $3)
		ORDER BY created_at`
	if f.newest {
		query += " DESC"
	}
	query += " LIMIT $4"
	rows, _ := r.db.Query(ctx, query, f.customer, f.statuses, f.gift, limit) // CollectRows returns the error
	found, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	return found, nil
}

func (r repository) get(ctx context.Context, id uuid.UUID) (Order, error) {
	const query = "SELECT id, customer, email, status, gift, created_at FROM orders WHERE id = $1"
	rows, _ := r.db.Query(ctx, query, id)
	order, err := pgx.CollectExactlyOneRow(rows, scan)
	if errors.Is(err, pgx.ErrNoRows) {
		err = database.ErrNotFound
	}
	if err != nil {
		return Order{}, fmt.Errorf("get order: %w", err)
	}
	return order, nil
}

func (r repository) delete(ctx context.Context, id uuid.UUID) error {
	result, err := r.db.Exec(ctx, "DELETE FROM orders WHERE id = $1", id)
	if err == nil && result.RowsAffected() == 0 {
		err = database.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete order: %w", err)
	}
	return nil
}

// scan converts times to UTC: pgx returns them in the zone of the process.
func scan(row pgx.CollectableRow) (order Order, err error) {
	err = row.Scan(&order.ID, &order.Customer, &order.Email, &order.Status, &order.Gift, &order.CreatedAt)
	order.CreatedAt = order.CreatedAt.UTC()
	return order, err
}
