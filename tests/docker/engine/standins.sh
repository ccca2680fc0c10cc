#!/bin/sh
# standins.sh TOOLS_DIR: where no image registry answers, images with the official names and tags
# and the same servers inside, made from Debian's, pip's and this repository's packages. What is
# there already is left alone, unless it is a stand-in of an earlier recipe.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
subject="Stand-ins"
label=pipeline.stand-in
base=pipeline-stand-in/base:forky
cache=${XDG_CACHE_HOME:-$HOME/.cache}
# shellcheck source-path=SCRIPTDIR source=steps.sh
. "$here/steps.sh"

[ $# = 1 ] || fail "standins.sh TOOLS_DIR, the folder of the centrifugo that was built"
[ -d "$1" ] || fail "no folder $1"
docker version >/dev/null 2>&1 || fail "no engine answers; engine.sh starts one"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM
log=$stage/log

label_of() { docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$1" 2>/dev/null; }

list() { sed '/^#/d; s/ *| */|/g' "$here/standins/images"; }

hash() { # FOLDER
  (cd "$1" && find . -type f -exec sha256sum {} + | LC_ALL=C sort) | sha256sum | cut -c 1-12
}

stage_centrifugo() {
  mkdir "$stage/tools"
  found=$(find "$1" -maxdepth 1 -name 'centrifugo*' ! -type d | sort -V | tail -n 1)
  [ -z "$found" ] || cp -L "$found" "$stage/tools/centrifugo"
}

# What a build needs in order to reach the registries that the host reaches.
stage_host() {
  mkdir -p "$stage/host/ca"
  cp /usr/local/share/ca-certificates/*.crt "$stage/host/ca/" 2>/dev/null || :
  {
    echo '[global]'
    echo 'cert = /etc/ssl/certs/ca-certificates.crt'
    python3 -m pip config list 2>/dev/null |
      sed -n "s/^[^=]*\.\(index-url\|extra-index-url\|trusted-host\|proxy\)='\(.*\)'$/\1 = \2/p"
  } >"$stage/host/pip.conf"
  registry=$(npm config get registry 2>/dev/null || :)
  echo "${registry:+registry=$registry}" >"$stage/host/npmrc"
}

make_base() {
  "$here/standins/base.sh" "$(debian_mirror)" >"$stage/base.tar" &&
    docker import --change "LABEL $label=$1" "$stage/base.tar" "$base" && rm "$stage/base.tar"
}

bake() (
  cd "$here/standins"
  # It would ask before it reads a context outside of its own folder.
  HASH=$recipe HOST=$stage/host TOOLS=$stage/tools BUILDX_BAKE_ENTITLEMENTS_FS=0 \
    docker buildx bake --progress plain "$@"
)

build() { # TARGET…
  case $* in
  *centrifugo*)
    [ -e "$stage/tools/centrifugo" ] || fail "no centrifugo in the folder that was given"
    ;;
  esac
  docker buildx version >/dev/null 2>&1 || fail "the docker here has no buildx"
  key=$(sha256sum <"$here/standins/base.sh" | cut -c 1-12)
  if [ "$(label_of "$base")" != "$key" ]; then
    needs_debian "a file system to start from"
    command -v mmdebstrap >/dev/null || step "installing mmdebstrap" install mmdebstrap
    step "Debian's minimal file system" make_base "$key"
  fi
  step "building $*" bake "$@"
}

ask_versions() { # all at once: a container takes half a second
  list | {
    while IFS='|' read -r target image command _; do
      # shellcheck disable=SC2086  # a command and its arguments
      docker run --rm --network none --entrypoint '' "$image" $command \
        >"$stage/$target.version" 2>&1 </dev/null &
    done
    wait
  }
}

show() {
  row='%-34s %-8s %-54s %s\n'
  # shellcheck disable=SC2059  # the format is above
  printf "$row" IMAGE VERSION "MADE OF" "DIFFERS FROM THE OFFICIAL ONE IN"
  list | while IFS='|' read -r target image _ made_of difference; do
    [ -n "$(label_of "$image")" ] || { made_of="not a stand-in" && difference=; }
    version=$(grep -Eo '[0-9]+\.[0-9.]*[0-9]' "$stage/$target.version" | head -n 1)
    # shellcheck disable=SC2059
    printf "$row" "$image" "${version:-?}" "$made_of" "$difference"
  done
}

# Where there is no flock, two at once only do the work twice.
mkdir -p "$cache"
exec 9>"$cache/pipeline-stand-ins.lock"
! command -v flock >/dev/null || flock 9
stage_centrifugo "$1"
stage_host
recipe=$(hash "$here/standins")-$(hash "$stage")
missing=$(list | while IFS='|' read -r target image _; do
  there=$(label_of "$image") || { echo "$target" && continue; }
  [ -z "$there" ] || [ "$there" = "$recipe" ] || echo "$target"
done)
# shellcheck disable=SC2086  # a list
[ -z "$missing" ] || build $missing
ask_versions
show
