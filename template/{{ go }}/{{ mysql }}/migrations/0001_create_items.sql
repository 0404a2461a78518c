-- MySQL cannot undo a half applied migration: let each change one thing.

-- +goose Up
CREATE TABLE items (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(200) NOT NULL,
  created_at datetime(6) NOT NULL
) CHARACTER SET utf8mb4;

-- +goose Down
DROP TABLE items;
