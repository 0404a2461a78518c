#!/bin/sh
# Sets the password of the database's user to the second line on standard input. Runs in the database's container, where
# the socket requires no password.
set -eu

read -r _
IFS= read -r new
[ -n "$new" ]
quoted=$(printf %s "$new" | sed "s/'/''/g")
# Keep the password out of the logs, whatever the configuration.
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=app --dbname=app > /dev/null <<SQL
SET log_statement = 'none';
SET log_min_duration_statement = -1;
SET log_min_error_statement = 'panic';
ALTER ROLE app PASSWORD '$quoted';
SQL
