-- +goose Up
CREATE TABLE items (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name varchar(200) NOT NULL,
  created_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE items;
