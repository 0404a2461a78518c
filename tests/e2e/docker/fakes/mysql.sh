#!/bin/bash
# What the official image does at a first start, with the variables that rendered projects set.
set -euo pipefail

socket=/var/run/mysqld/first.sock
data=/var/lib/mysql
for word in "$@"; do
  [[ $word == --datadir=* ]] && data=${word#*=}
done

quoted() {
  sed "s/[\\\\']/\\\\&/g" "$1"
}

if [[ ${1:-} == mysqld && ! -d $data/mysql ]]; then
  mkdir -p "$data"
  "$@" --initialize-insecure
  "$@" --skip-networking --socket="$socket" &
  until mysqladmin --user=root --socket="$socket" ping --silent 2> /dev/null; do
    kill -0 "$!"
    sleep 0.2
  done
  mysql --user=root --socket="$socket" << SQL
CREATE DATABASE \`$MYSQL_DATABASE\`;
CREATE USER \`$MYSQL_USER\`@'%' IDENTIFIED BY '$(quoted "$MYSQL_PASSWORD_FILE")';
GRANT ALL ON \`$MYSQL_DATABASE\`.* TO \`$MYSQL_USER\`@'%';
ALTER USER root@localhost IDENTIFIED BY '$(quoted "$MYSQL_ROOT_PASSWORD_FILE")';
SQL
  kill "$!"
  wait "$!"
fi
exec "$@"
