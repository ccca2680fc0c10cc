#!/bin/sh
# engine.sh start|stop|env: a Docker engine for a machine that has none and reaches only a Debian
# mirror. Everything lies in one folder, the socket too: programs that find an engine at the usual
# place would start to use it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${PIPELINE_ENGINE:-${XDG_CACHE_HOME:-$HOME/.cache}/pipeline-engine}
socket=$folder/docker.sock
tools=$folder/tools
pid_file=$folder/dockerd.pid
before=$folder/before
log=$folder/engine.log
subject="Docker engine"
# shellcheck source-path=SCRIPTDIR source=steps.sh
. "$here/steps.sh"

# Not the host's release: its Docker may be years older (start_interval needs 25). These run on an
# older libc, all but runc, which is therefore the host's.
release=forky
packages="docker.io docker-cli containerd tini-static docker-compose docker-buildx"
host_packages="iptables iproute2 runc"

callers_engine() {
  [ "${DOCKER_HOST:-}" != "unix://$socket" ] && command -v docker >/dev/null &&
    timeout 10 docker version >/dev/null 2>&1
}

ours() { "$tools/usr/bin/docker" -H "unix://$socket" "$@"; }

dockerd_pid() { # by its own command line too: after a reboot the number belongs to something else
  [ -f "$pid_file" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$pid_file")/cmdline" |
    grep -qF -e "--data-root $folder/data" && cat "$pid_file"
}

# An apt that knows only the other release, so that the host's own one never hears of it.
private_apt() {
  mkdir -p "$folder/apt/lists/partial" "$folder/apt/archives/partial"
  : >"$folder/apt/status"
  keys=/usr/share/keyrings/debian-archive-keyring.gpg
  echo "deb [signed-by=$keys] $(debian_mirror) $release main" >"$folder/apt/sources.list"
  # Valid-Until: the release files of a frozen mirror are past it.
  cat >"$folder/apt/apt.conf" <<CONF
Dir::State "$folder/apt"; Dir::State::lists "$folder/apt/lists";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt"; Dir::Cache::archives "$folder/apt/archives";
Dir::Etc::sourcelist "$folder/apt/sources.list"; Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null"; APT::Sandbox::User "root";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::Retries "3";
CONF
}

fetch() (
  export APT_CONFIG="$folder/apt/apt.conf"
  # shellcheck disable=SC2086  # a list
  cd "$folder/apt/archives" && apt-get update && apt-get download $packages
)

unpack() {
  rm -rf "$tools.new" && mkdir "$tools.new" || return
  for package in "$folder"/apt/archives/*.deb; do
    dpkg-deb -x "$package" "$tools.new" || return
  done
  # The caller's own folder of plug-ins stays as it is.
  mkdir "$tools.new/config" &&
    echo "{\"cliPluginsExtraDirs\": [\"$tools/usr/libexec/docker/cli-plugins\"]}" \
      >"$tools.new/config/config.json" &&
    mv "$tools.new" "$tools" && rm -rf "$folder/apt"
}

# A dockerd that was killed left its changes in place, but no reboot does.
remembered() { cmp -s "$before/boot" /proc/sys/kernel/random/boot_id; }

# The name of a network namespace is a mount, and dockerd leaves one behind; no rm gets past it.
unmount_left() {
  while read -r _ mounted _; do
    case $mounted in "$folder/exec/"*) umount -l "$mounted" ;; esac
  done </proc/mounts
}

remember() { # what dockerd is going to change on the host
  ! remembered || return 0
  unmount_left
  rm -rf "$before" "$folder/exec"
  mkdir "$before"
  iptables-save >"$before/iptables"
  ip6tables-save >"$before/ip6tables" 2>/dev/null || rm "$before/ip6tables"
  sysctls >"$before/sysctls"
  bridges >"$before/bridges"
  cat /proc/sys/kernel/random/boot_id >"$before/boot"
}

sysctls() {
  for name in net/ipv4/ip_forward net/ipv6/conf/all/forwarding net/ipv6/conf/default/forwarding; do
    [ ! -e "/proc/sys/$name" ] || echo "$name $(cat "/proc/sys/$name")"
  done
}

bridges() {
  ip -o link show type bridge | sed -n 's/^[0-9]*: \(docker0\|br-[0-9a-f]\{12\}\):.*/\1/p'
}

# A table that was not there before is not in the file: what it holds now is dockerd's.
rules_before() { # iptables|ip6tables
  cat "$before/$1"
  for table in $("$1-save" | sed -n 's/^\*//p'); do
    grep -qxF "*$table" "$before/$1" ||
      "$1-save" -t "$table" | sed -n '/^[*C]/p; s/^\(:[A-Z]* \)[A-Z]\{1,\} .*/\1ACCEPT/p'
  done
}

restore() {
  remembered || return 0
  rules_before iptables | iptables-restore
  [ ! -e "$before/ip6tables" ] || rules_before ip6tables | ip6tables-restore
  while read -r name value; do echo "$value" >"/proc/sys/$name"; done <"$before/sysctls"
  for bridge in $(bridges); do
    grep -qxF "$bridge" "$before/bridges" || ip link del "$bridge"
  done
  rm -rf "$before"
}

run_dockerd() {
  rm -f "$pid_file"
  [ ! -e "$folder/dockerd.log" ] || mv "$folder/dockerd.log" "$folder/dockerd.log.before"
  # Process 1 of a container host need not reap, so tini takes in what dockerd's shims leave.
  PATH=$tools/usr/bin:$tools/usr/sbin:$PATH setsid tini-static -s -- dockerd \
    --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$pid_file" \
    -H "unix://$socket" --init-path "$tools/usr/bin/tini-static" \
    --userland-proxy-path "$tools/usr/sbin/docker-proxy" --log-level warn \
    >"$folder/dockerd.log" 2>&1 </dev/null 9>&- &
  tini=$!
  tries=0
  until ours version >/dev/null 2>&1; do
    tries=$((tries + 1))
    { [ $tries -lt 240 ] && kill -0 "$tini"; } || { tail -n 20 "$folder/dockerd.log"; return 1; }
    sleep 0.25
  done
}

describe() {
  facts="{{.ServerVersion}}, {{.Driver}}, cgroup v{{.CgroupVersion}}"
  ours info --format "$subject: $facts, $socket"
  [ "$(ours info --format '{{.Driver}}')" != vfs ] ||
    echo "$subject: $folder can carry no overlay, so every layer is a full copy: slow, large"
}

start() {
  if callers_engine; then
    docker version --format "$subject: one answers already, {{.Server.Version}}; it is used"
    return
  fi
  needs_debian "dockerd"
  [ ${#folder} -le 60 ] || fail "$folder is too long for the sockets in it: set PIPELINE_ENGINE"
  mkdir -p "$folder"
  exec 9>"$folder/lock"
  flock 9
  if ! { command -v iptables && command -v ip && command -v runc; } >/dev/null; then
    # shellcheck disable=SC2086  # a list
    step "installing $host_packages" install $host_packages
  fi
  if [ ! -d "$tools" ]; then
    private_apt
    step "fetching Debian $release's packages" fetch
    step "unpacking" unpack
  fi
  if ! dockerd_pid >/dev/null; then
    remember
    step "starting" run_dockerd
  fi
  describe
}

stop() {
  [ -d "$folder" ] || return 0
  exec 9>"$folder/lock"
  flock 9
  if pid=$(dockerd_pid); then
    kill "$pid"
    step "stopping" timeout 60 tail --pid="$pid" -f /dev/null
    unmount_left
  fi
  restore
}

case ${1:-} in
start) start ;;
stop) stop ;;
env)
  # shellcheck disable=SC2016  # the caller's PATH
  callers_engine || printf 'export PATH="%s:$PATH" DOCKER_HOST="%s" DOCKER_CONFIG="%s"\n' \
    "$tools/usr/bin" "unix://$socket" "$tools/config"
  ;;
*) fail "engine.sh start|stop|env" ;;
esac
