#!/bin/sh
# users.sh FOLDER: Redis's users as one file, from the passwords in FOLDER, for the Secret `redis-users`. The same as
# config/redis/start.sh makes, but for `default`, by whom the operator and its Sentinels work.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
for user in operator generator bridge forwarder writer api; do
  name=$(echo "REDIS_${user}_PASSWORD" | tr '[:lower:]' '[:upper:]')
  export "$name=$(cat "$1/redis_${user}_password")"
done
sh "$here/../../../config/redis/start.sh" "$made/user.acl" true
sed "s|^user default .*|user default on >$REDIS_OPERATOR_PASSWORD ~* \&* +@all|" "$made/user.acl"
