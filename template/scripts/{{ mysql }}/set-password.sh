#!/bin/sh
# Sets the password of the database's users from the first line on standard input to the second, unless they have it
# already. Runs in the database's container.
set -eu
umask 077

IFS= read -r old
IFS= read -r new
[ -n "$new" ]
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

quoted=$(printf %s "$new" | sed "s/[\\\\']/\\\\&/g")

# as USER PASSWORD: runs SQL.
as() {
  printf '[client]\nuser=%s\npassword="%s"\n' "$1" "$(printf %s "$2" | sed 's/[\\"]/\\&/g')" > "$work/my.cnf"
  mysql --defaults-extra-file="$work/my.cnf"
}

set_password() {
  as "$1" "$new" < /dev/null 2> /dev/null || as "$1" "$old" <<SQL
ALTER USER CURRENT_USER() IDENTIFIED BY '$quoted';
SQL
}

set_password app
# Differs if only the service's password was changed by hand.
set_password root || echo 'root@localhost has another password, unchanged.' >&2
