#!/bin/sh
# run.sh [PYTEST ARGUMENT…]: the whole system by docker compose, tried: the end-to-end tests through
# its open port, then what only containers have. Where no engine answers it starts one, and stops it
# again; where no image registry answers it makes stand-ins. Where neither can be, it says so in one
# line, and that is a failure only if PIPELINE_REQUIRE_DOCKER=1.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/pipeline-tools
started=

skip() {
  echo "test-docker: not run: $*"
  [ "${PIPELINE_REQUIRE_DOCKER:-0}" != 1 ] || exit 1
  exit 0
}

finish() { [ -z "$started" ] || "$here/engine/engine.sh" stop; }

answers() { command -v docker >/dev/null && timeout 20 docker version >/dev/null 2>&1; }

images() { sed '/^#/d' "$here/engine/standins/images" | cut -d '|' -f 2 | tr -d ' '; }

stand_ins() { docker image ls --quiet --filter label=pipeline.stand-in | grep -q .; }

can_be_had() {
  for image in $(images); do
    docker image inspect "$image" >/dev/null 2>&1 || timeout 300 docker pull -q "$image" || return 1
  done
}

[ "$(uname -s)" = Linux ] || skip "needs Linux: it looks into the processes of containers"
[ "$(id -u)" = 0 ] || skip "needs root: it kills the processes of containers"
eval "$("$here/engine/engine.sh" env)"
if ! answers; then
  "$here/engine/engine.sh" start || skip "no Docker engine answers, and none can be started"
  started=yes
  trap finish EXIT
  trap 'exit 1' HUP INT TERM
fi
command -v ss >/dev/null || skip "needs ss, of the package iproute2"
docker compose version >/dev/null 2>&1 || skip "this docker has no compose"
if stand_ins || ! can_be_had >/dev/null 2>&1; then
  # One of them has the Centrifugo that is built here.
  [ -n "$(find "$tools" -name 'centrifugo-*' 2>/dev/null)" ] || (cd "$root" && python3 -m local install)
  "$here/engine/standins.sh" "$tools" || skip "there are images that can neither be pulled nor be made"
fi
cd "$root"
.run/venv/bin/python -m pytest tests/e2e tests/docker --target docker --timeout 300 "$@"
