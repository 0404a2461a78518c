package items

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"app/internal/database"
)

// repository is the items: a sorted set of JSON documents whose scores are the ids, so that a command does each thing.
type repository struct {
	database *database.Database
}

func (r repository) key() string { return r.database.Prefix + ":items" }

// create stores a new item and returns it with its id.
func (r repository) create(ctx context.Context, name string) (Item, error) {
	item := Item{Name: name, CreatedAt: time.Now().UTC().Truncate(time.Microsecond)}
	err := r.database.Do(ctx, func(ctx context.Context, client *redis.Client) (err error) {
		if item.ID, err = client.Incr(ctx, r.key()+":last-id").Result(); err != nil {
			return err
		}
		document, err := json.Marshal(item)
		if err != nil {
			return fmt.Errorf("encode an item: %w", err)
		}
		return client.ZAdd(ctx, r.key(), redis.Z{Score: float64(item.ID), Member: document}).Err()
	})
	return item, err
}

// page returns the first items with a greater id.
func (r repository) page(ctx context.Context, after int64, limit int) ([]Item, error) {
	return r.between(ctx, fmt.Sprintf("(%d", after), "+inf", limit)
}

// get returns the item with this id, if any.
func (r repository) get(ctx context.Context, id int64) (*Item, error) {
	score := strconv.FormatInt(id, 10)
	found, err := r.between(ctx, score, score, 1)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0], nil
}

// delete deletes the item with this id and tells whether there was one.
func (r repository) delete(ctx context.Context, id int64) (deleted bool, err error) {
	score := strconv.FormatInt(id, 10)
	err = r.database.Do(ctx, func(ctx context.Context, client *redis.Client) error {
		number, err := client.ZRemRangeByScore(ctx, r.key(), score, score).Result()
		deleted = number == 1
		return err
	})
	return deleted, err
}

func (r repository) between(ctx context.Context, first, last string, limit int) ([]Item, error) {
	var documents []string
	err := r.database.Do(ctx, func(ctx context.Context, client *redis.Client) (err error) {
		documents, err = client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: r.key(), Start: first, Stop: last, ByScore: true, Count: int64(limit),
		}).Result()
		return err
	})
	if err != nil {
		return nil, err
	}
	found := make([]Item, len(documents))
	for i, document := range documents {
		if err := json.Unmarshal([]byte(document), &found[i]); err != nil {
			return nil, fmt.Errorf("decode an item: %w", err)
		}
	}
	return found, nil
}
