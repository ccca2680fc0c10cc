#!/bin/sh
# start.sh FOLDER PGBOUNCER ARGUMENT...: writes there what the environment says, and starts PgBouncer with it.
#
# POSTGRES_HOST, POSTGRES_PORT (5432); PGBOUNCER_HOST (0.0.0.0) and PGBOUNCER_PORT (6432) to listen on. Passwords of the two
# roles come from the environment, or from /run/secrets where a file of that name is.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift

# login ROLE: its line in PgBouncer's list, where a quotation mark is doubled.
login() {
  name=postgres_$1_password
  if [ -r "/run/secrets/$name" ]; then
    value=$(cat "/run/secrets/$name")
  else
    eval "value=\${$(echo "$name" | tr '[:lower:]' '[:upper:]'):-}"
  fi
  [ -n "$value" ] || { echo "pgbouncer: $name is missing" >&2; exit 2; }
  printf '"%s" "%s"\n' "$1" "$(printf %s "$value" | sed 's/"/""/g')"
}
writer=$(login writer)
api=$(login api)
printf '%s\n%s\n' "$writer" "$api" >"$folder/users.txt"

# One section of each kind, since a second one begins with PgBouncer's defaults again.
{
  echo "[databases]"
  echo "* = host=${POSTGRES_HOST:?} port=${POSTGRES_PORT:-5432}"
  cat "$here/pgbouncer.ini"
  echo "auth_file = $folder/users.txt"
  echo "listen_addr = ${PGBOUNCER_HOST:-0.0.0.0}"
  echo "listen_port = ${PGBOUNCER_PORT:-6432}"
} >"$folder/pgbouncer.ini"
exec "$@" "$folder/pgbouncer.ini"
