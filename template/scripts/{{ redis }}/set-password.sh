#!/bin/sh
# Sets the password of the database from the first line on standard input to the second, unless it has it already. Runs
# in the database's container.
set -eu

IFS= read -r old
IFS= read -r new
[ -n "$new" ]
[ "$(REDISCLI_AUTH=$new redis-cli PING 2> /dev/null)" = PONG ] \
  || printf %s "$new" | REDISCLI_AUTH=$old redis-cli -e -x CONFIG SET requirepass > /dev/null
