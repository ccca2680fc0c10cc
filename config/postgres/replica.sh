#!/bin/sh
# replica.sh POSTGRES ARGUMENT...: a streaming replica: copies the primary once, then follows it.
#
# PGHOST, PGUSER, PGPASSWORD (or the secret postgres_replica_password) and PGDATABASE name the primary; the user must be
# allowed to replicate, and to connect. PGDATA is where the copy goes. A slot keeps the primary's log for the replica, up to
# its max_slot_wal_keep_size; a replica that was away for longer can't follow any more, and says so: remove its data, and it
# copies anew.
set -eu
slot=replica
file=/run/secrets/postgres_replica_password
if [ -r "$file" ]; then PGPASSWORD=$(cat "$file"); export PGPASSWORD; fi

# ask SQL: on the primary.
ask() { psql -v ON_ERROR_STOP=1 -Atqc "$1" >/dev/null; }

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.new"
  mkdir -p "$(dirname "$PGDATA")"
  # One that was left behind keeps nothing any more, and its name is taken.
  ask "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = '$slot' AND wal_status = 'lost'"
  ask "SELECT pg_create_physical_replication_slot('$slot')
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = '$slot')"
  pg_basebackup --pgdata "$PGDATA.new" --write-recovery-conf --slot "$slot" --wal-method stream --checkpoint fast
  mv "$PGDATA.new" "$PGDATA"   # what is cut off leaves nothing half made
fi
# Of data that were promoted a second primary would start, and the api would read there.
if [ ! -e "$PGDATA/standby.signal" ]; then
  echo "$PGDATA is no replica's (promoted?): nothing is started; remove it for a new copy" >&2
  exit 1
fi
# Rows that somebody reads here aren't cleaned away there; and half a minute behind is too long for whoever asks for today.
# Where to follow is said at each start, as the copy remembers what it was told once; the password is in the environment.
exec "$@" -c primary_conninfo="host=$PGHOST user=$PGUSER" -c hot_standby_feedback=on -c max_standby_streaming_delay=5s
