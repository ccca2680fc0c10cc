#!/bin/sh
# create-cluster.sh ADDRESS...: one Redis Cluster of these nodes, unless they are one: the first half are masters, the others a
# replica of one each. Addresses are numbers: nodes know each other by no names.
#
# Returns when all slots are served, and the first time when all replicas follow: bridges choose then where to listen, and a
# replica is the best place.
set -eu
export REDISCLI_AUTH="${REDIS_OPERATOR_PASSWORD:?}"
first=$1
ask() { # ADDRESS COMMAND...
  node=$1
  shift
  redis-cli --user operator -h "${node%:*}" -p "${node#*:}" "$@" | tr -d '\r'
}

until_so() { # COMMAND...: for a minute
  for _ in $(seq 120); do
    if "$@"; then return; fi
    sleep 0.5
  done
  echo "redis: not so within a minute: $*; redis-cli --cluster check $first says what is missing" >&2
  exit 1
}

# The state alone says nothing: it is ok without some slots, too (cluster-require-full-coverage no).
is_whole() { [ "$(ask "$first" cluster info | grep -cxE 'cluster_state:ok|cluster_slots_assigned:16384')" = 2 ]; }

names() { [ "$(ask "$2" cluster slots | grep -c '[.:]')" = "$1" ]; } # NUMBER NODE: masters and replicas

if ask "$first" cluster info | grep -qx cluster_slots_assigned:0; then
  redis-cli --user operator --cluster create "$@" --cluster-replicas 1 --cluster-yes
  # A replica is named from its first byte on, which may be ten seconds away: so something is said that replicas must hear.
  for node; do ask "$node" function flush >/dev/null; done
  for node; do until_so names $# "$node"; done
fi
until_so is_whole
