#!/bin/bash
# Like the official image: POSTGRES_* (and *_FILE), initdb and its scripts once, then the server.
set -Eeuo pipefail

from_file() { # NAME DEFAULT
  local file=${1}_FILE
  if [ -n "${!1:-}" ] && [ -n "${!file:-}" ]; then
    echo "error: both $1 and $file are set (but are exclusive)" >&2
    exit 1
  fi
  if [ -n "${!file:-}" ]; then
    export "$1=$(<"${!file}")"
  else
    export "$1=${!1:-$2}"
  fi
  unset "$file"
}

docker_process_sql() { # for the scripts too
  PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password \
    --no-psqlrc --dbname "$POSTGRES_DB" "$@"
}

run_scripts() {
  local script
  for script in /docker-entrypoint-initdb.d/*; do
    case $script in
    *.sh)
      echo "$0: $script"
      # shellcheck source=/dev/null
      if [ -x "$script" ]; then "$script"; else . "$script"; fi
      ;;
    *.sql) echo "$0: $script" && docker_process_sql -f "$script" ;;
    *.sql.gz) echo "$0: $script" && gunzip -c "$script" | docker_process_sql ;;
    *.sql.xz) echo "$0: $script" && xzcat "$script" | docker_process_sql ;;
    *.sql.zst) echo "$0: $script" && zstd -dc "$script" | docker_process_sql ;;
    *) [ ! -e "$script" ] || echo "$0: ignoring $script" ;;
    esac
  done
}

initialize() {
  local method=${POSTGRES_HOST_AUTH_METHOD:-}
  if [ -z "$POSTGRES_PASSWORD" ] && [ "$method" != trust ]; then
    echo "Error: Database is uninitialized and superuser password is not specified." >&2
    exit 1
  fi
  # eval: POSTGRES_INITDB_ARGS is written as for a shell, with quotes.
  eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") ' \
    "$POSTGRES_INITDB_ARGS"
  [ -n "$method" ] || method=$(postgres -C password_encryption "${@:2}")
  printf '\nhost all all all %s\n' "$method" >>"$PGDATA/pg_hba.conf"

  # Nobody outside may see a server whose scripts have not run.
  export PGPASSWORD=${PGPASSWORD:-$POSTGRES_PASSWORD}
  PGUSER=${PGUSER:-$POSTGRES_USER} pg_ctl -D "$PGDATA" -w \
    -o "$(printf '%q ' "${@:2}" -c listen_addresses='' -p "${PGPORT:-5432}")" start
  if [ "$POSTGRES_DB" != postgres ]; then
    docker_process_sql --dbname postgres -v db="$POSTGRES_DB" <<<'CREATE DATABASE :"db";'
  fi
  run_scripts
  PGUSER=${PGUSER:-postgres} pg_ctl -D "$PGDATA" -m fast -w stop
  unset PGPASSWORD
  echo 'PostgreSQL init process complete; ready for start up.'
}

prepare_folders() {
  # Without a capability for it they may be right already; the server says it when they are not.
  mkdir -p "$PGDATA" /var/run/postgresql || :
  chmod 00700 "$PGDATA" || :
  chmod 03775 /var/run/postgresql || :
  if [ "$(id -u)" = 0 ]; then
    find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres '{}' +
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
  fi
}

case ${1:-} in -*) set -- postgres "$@" ;; esac
case "${1:-} ${2:-}" in
*' --version' | *' -V' | *' --help' | *' -?') ;;
'postgres '*)
  if mountpoint -q /var/lib/postgresql/data; then
    echo "Error: since 18 the volume belongs at /var/lib/postgresql, not below it" >&2
    exit 1
  fi
  prepare_folders "$@"
  if [ -s "$PGDATA/PG_VERSION" ]; then
    echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
  else
    from_file POSTGRES_PASSWORD ''
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS ''
    initialize "$@"
  fi
  ;;
esac
exec "$@"
