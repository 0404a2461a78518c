-- MySQL cannot undo a half applied migration: let each change one thing.
CREATE TABLE items (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  name varchar(200) NOT NULL,
  created_at datetime(6) NOT NULL
) DEFAULT CHARSET utf8mb4;
