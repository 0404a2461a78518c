-- MySQL has no transactional DDL: put one change into each migration.

-- +goose Up
CREATE TABLE items (
  id bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name varchar(200) NOT NULL,
  created_at datetime(6) NOT NULL
) CHARACTER SET utf8mb4;

-- +goose Down
DROP TABLE items;
