# shellcheck shell=sh
# Sourced by engine.sh and standins.sh: one line for each thing that takes time, one for what is
# missing.
# shellcheck disable=SC2154  # subject and log are the caller's

fail() {
  echo "$subject: $*" >&2
  exit 1
}

step() { # TITLE COMMAND…
  printf '%s: %s … ' "$subject" "$1"
  shift
  began=$(date +%s)
  if "$@" >"$log" 2>&1; then
    echo "done in $(($(date +%s) - began)) s"
  else
    echo failed
    tail -n 20 "$log" >&2
    exit 1
  fi
}

needs_debian() {
  [ "$(id -u)" = 0 ] || fail "needs root, for $1"
  { [ -e /etc/debian_version ] && command -v apt-get >/dev/null; } ||
    fail "needs Debian, whose packages it is made of"
}

install() { # PACKAGE…
  apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 \
    install -y --no-install-recommends "$@" </dev/null
}

# The host's own mirror, in whichever format its sources are written.
debian_mirror() {
  # shellcheck source=/dev/null
  host_release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # shellcheck disable=SC2016  # apt fills it in
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Release: $host_release" |
    head -n 1
}
