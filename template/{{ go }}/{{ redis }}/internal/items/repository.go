package items

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"strconv"
	"time"

	"example.com/app/internal/database"
	"github.com/redis/go-redis/v9"
)

// repository stores items in Redis: a sorted set of JSON documents whose scores are the IDs.
type repository struct {
	db *database.DB
}

func (r repository) key() string { return r.db.Prefix + ":items" }

func (r repository) create(ctx context.Context, name string) (Item, error) {
	item := Item{Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	var err error
	if item.ID, err = r.db.Client().Incr(ctx, r.key()+":last-id").Result(); err != nil {
		return Item{}, fmt.Errorf("create item: %w", err)
	}
	document, err := json.Marshal(item)
	if err != nil {
		return Item{}, fmt.Errorf("encode item: %w", err)
	}
	if err := r.db.Client().ZAdd(ctx, r.key(), redis.Z{Score: float64(item.ID), Member: document}).Err(); err != nil {
		return Item{}, fmt.Errorf("create item: %w", err)
	}
	return item, nil
}

// list returns the first items after an ID.
func (r repository) list(ctx context.Context, after, limit int64) ([]Item, error) {
	return r.between(ctx, fmt.Sprintf("(%d", after), "+inf", limit)
}

func (r repository) get(ctx context.Context, id int64) (Item, error) {
	score := strconv.FormatInt(id, 10)
	found, err := r.between(ctx, score, score, 1)
	if err != nil {
		return Item{}, err
	}
	if len(found) == 0 || found[0].ID != id { // scores are exact up to 2^53
		return Item{}, fmt.Errorf("get item: %w", database.ErrNotFound)
	}
	return found[0], nil
}

func (r repository) delete(ctx context.Context, id int64) error {
	score := strconv.FormatInt(id, 10)
	deleted, err := r.db.Client().ZRemRangeByScore(ctx, r.key(), score, score).Result()
	if err == nil && deleted == 0 {
		err = database.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("delete item: %w", err)
	}
	return nil
}

func (r repository) between(ctx context.Context, first, last string, limit int64) ([]Item, error) {
	documents, err := r.db.Client().ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: r.key(), Start: first, Stop: last, ByScore: true, Count: limit,
	}).Result()
	if err != nil {
		return nil, fmt.Errorf("list items: %w", err)
	}
	found := make([]Item, len(documents))
	for i, document := range documents {
		if err := json.Unmarshal([]byte(document), &found[i]); err != nil {
			return nil, fmt.Errorf("decode item: %w", err)
		}
	}
	return found, nil
}
