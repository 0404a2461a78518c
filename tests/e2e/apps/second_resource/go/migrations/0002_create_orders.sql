-- +goose Up
CREATE TABLE orders (
  id uuid PRIMARY KEY,
  customer varchar(100) NOT NULL,
  email varchar(254) NOT NULL,
  status varchar(10) NOT NULL,
  gift boolean NOT NULL,
  created_at timestamptz NOT NULL
);

-- +goose Down
DROP TABLE orders;
