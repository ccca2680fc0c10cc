#!/bin/sh
# start.sh USERS_FILE SERVER ARGUMENT...: one Redis user per service, then the server itself.
#
# Passwords come from the environment, or from /run/secrets where a file of that name is. Nobody but the operator may read
# keys that aren't the pipeline's, and nobody but the bridge and the operator may remove a tick; readers remove what their
# own group keeps. Whoever renames STREAM or CHANNELS renames them here.
set -eu
users=$1
shift

# secret NAME: its value, as it is; an empty one would let anybody in.
secret() {
  file=/run/secrets/$(echo "$1" | tr '[:upper:]' '[:lower:]')
  if [ -r "$file" ]; then value=$(cat "$file"); else eval "value=\${$1:-}"; fi
  [ -n "$value" ] || { echo "redis: $1 is missing" >&2; exit 2; }
  case $value in *[[:space:]]*) echo "redis: $1 must have no white space" >&2; exit 2 ;; esac
  printf %s "$value"
}
operator=$(secret REDIS_OPERATOR_PASSWORD)
generator=$(secret REDIS_GENERATOR_PASSWORD)
bridge=$(secret REDIS_BRIDGE_PASSWORD)
forwarder=$(secret REDIS_FORWARDER_PASSWORD)
writer=$(secret REDIS_WRITER_PASSWORD)
api=$(secret REDIS_API_PASSWORD)

keys='~ticks ~{ticks}:* ~ticks:{*'   # the last: of shards, each with its own braces
channels='&NYSE &NASDAQ'
hello='+ping +hello +client|setinfo +client|setname +cluster|slots'   # what client libraries say at first

# reader GROUP: what its members may. Heartbeats, marks and dead letters are theirs under the group's own name only.
reader() {
  echo "~ticks ~{ticks}:alive:$1:* ~{ticks}:suspect:$1 ~{ticks}:dead:$1 $hello" \
    "~ticks:{*} ~ticks:{*}:alive:$1:* ~ticks:{*}:suspect:$1 ~ticks:{*}:dead:$1" \
    "+xreadgroup +xack +xclaim +xgroup|create +xgroup|delconsumer +xinfo|groups +xinfo|consumers +xpending +xrange +xrevrange +xlen +eval" \
    "(~{ticks}:alive:$1:* ~ticks:{*}:alive:$1:* +get +set +del +exists +pttl +pexpire)" \
    "(~{ticks}:suspect:$1 ~ticks:{*}:suspect:$1 +hget +hset +hdel +expire)" \
    "(~{ticks}:dead:$1 ~ticks:{*}:dead:$1 +xadd +xdel)"
}

# `default` is whoever gives no name: anybody with a shell in the network may look at the prices, and at nothing else.
default="on nopass resetchannels $channels resetkeys -@all +ping +hello +quit +reset +subscribe +unsubscribe"
at_first=$default
# Redis 8.0 and older replay their log as this user, and drop what a script appended unless it may do that (redis issue
# 14541). So it may, by the operator's password, until the log is read. Valkey's replay asks nobody.
if [ "${1##*/}" = redis-server ]; then
  at_first="on >$operator ~* &* +@all"
  (
    export REDISCLI_AUTH="$operator"
    until [ "$(redis-cli --user operator ping)" = PONG ]; do sleep 0.1; done
    # shellcheck disable=SC2086  # rules, not one
    redis-cli --user operator acl setuser default reset $default
  ) >/dev/null 2>&1 &
fi
umask 077
cat > "$users" <<USERS
user default $at_first
user operator on >$operator ~* &* +@all
user generator on >$generator $channels $hello +publish
user bridge on >$bridge $keys $channels &{ticks}:control* &ticks:{*}:control* $hello +subscribe +unsubscribe +script|load +evalsha +exists +xinfo|stream +xinfo|groups +xrange +xpending +xtrim +xgroup|setid +hincrby +xadd +xlen +info +get +set +del +pexpire +xrevrange +time +zadd +zrange +zrem +zremrangebyscore (resetchannels &{ticks}:control* &ticks:{*}:control* +publish)
user forwarder on >$forwarder $(reader forwarder)
user writer on >$writer $(reader writer)
user api on >$api %R~ticks %R~{ticks}:* %R~ticks:{* $hello +command +info +xinfo|stream +xinfo|groups +xpending +xrange +xlen +hgetall
USERS
exec "$@" --aclfile "$users"
