#!/bin/sh
# cluster.sh FOLDER SERVER ARGUMENT...: a node of a Redis Cluster: what start.sh does, and by which user it follows a master.
#
# Users and the operator's password are written there, for the server alone to read.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
shift

file=/run/secrets/redis_operator_password
if [ -r "$file" ]; then password=$(cat "$file"); else password=${REDIS_OPERATOR_PASSWORD:-}; fi
umask 077
{
  echo "masteruser operator"
  printf 'masterauth "%s"\n' "$(printf %s "$password" | sed 's/[\\"]/\\&/g')"
} >"$folder/follow.conf"
exec sh "$here/start.sh" "$folder/users.acl" "$@" --include "$folder/follow.conf" --cluster-enabled yes
