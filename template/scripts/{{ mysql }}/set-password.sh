#!/bin/sh
# Sets the password of the database's users from the first line on standard input to the second, unless they have it
# already. Runs in the database's container.
set -eu
umask 077

IFS= read -r old
IFS= read -r new
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

as_root() {
  printf '[client]\nuser=root\npassword="%s"\n' "$(printf %s "$1" | sed 's/[\\"]/\\&/g')" > "$work/my.cnf"
  mysql --defaults-extra-file="$work/my.cnf"
}

quoted=$(printf %s "$new" | sed "s/[\\\\']/\\\\&/g")
as_root "$new" < /dev/null 2> /dev/null || as_root "$old" <<SQL
ALTER USER app@'%' IDENTIFIED BY '$quoted', root@localhost IDENTIFIED BY '$quoted';
SQL
