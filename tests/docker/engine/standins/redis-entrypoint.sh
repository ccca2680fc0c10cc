#!/bin/sh
# Like the official image: options or a file mean redis-server, which root leaves to the user redis.
set -e
case ${1:-} in
-* | *.conf) set -- redis-server "$@" ;;
esac
if [ "${1:-}" = redis-server ]; then
  if [ "$(id -u)" = 0 ] && setpriv --reuid redis --regid redis --clear-groups true 2>/dev/null; then
    find . ! -user redis -exec chown redis '{}' +
    exec setpriv --reuid redis --regid redis --clear-groups -- "$0" "$@"
  fi
  umask 0077
  # The official binary has it as its default, so a configuration may still say otherwise there.
  set -- "$@" --protected-mode no
fi
exec "$@"
