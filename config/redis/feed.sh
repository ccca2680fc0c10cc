#!/bin/sh
# feed.sh USERS_FILE SERVER ARGUMENT...: the Redis between two Centrifugo nodes: its one user, then the server itself.
#
# The password comes from REDIS_FEED_PASSWORD, or from /run/secrets where a file of that name is. Who has it could show every
# page any price; and nothing else, as the stream is in another Redis. Whoever renames CENTRIFUGO_ENGINE_REDIS_PREFIX renames
# it here.
set -eu
users=$1
shift

file=/run/secrets/redis_feed_password
if [ -r "$file" ]; then password=$(cat "$file"); else password=${REDIS_FEED_PASSWORD:-}; fi
[ -n "$password" ] || { echo "redis: REDIS_FEED_PASSWORD is missing" >&2; exit 2; }
case $password in *[[:space:]]*) echo "redis: REDIS_FEED_PASSWORD must have no white space" >&2; exit 2 ;; esac

hello='+ping +hello +client|setinfo'
script='+evalsha +eval +hget +hmget +hset +hincrby +expire +del +xadd +xrange +xrevrange'   # what its scripts call
umask 077
cat > "$users" <<USERS
user default on nopass resetchannels resetkeys -@all +ping
user centrifugo on >$password ~feed.* &feed.* $hello $script +publish +subscribe +unsubscribe
USERS
exec "$@" --aclfile "$users"
