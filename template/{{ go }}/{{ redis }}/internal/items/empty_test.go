package items_test

import (
	"context"
	"testing"

	"github.com/redis/go-redis/v9"

	"app/internal/database"
)

// empty deletes every key that begins with the name of the database.
func empty(t *testing.T, database *database.Database) {
	t.Helper()
	err := database.Do(t.Context(), func(ctx context.Context, client *redis.Client) error {
		keys, err := client.Keys(ctx, database.Prefix+":*").Result()
		if err != nil || len(keys) == 0 {
			return err
		}
		return client.Del(ctx, keys...).Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
