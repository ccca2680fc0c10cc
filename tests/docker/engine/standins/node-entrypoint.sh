#!/bin/sh
# Like the official image: options, files and unknown words are for node.
set -e
case ${1:-} in
-*) set -- node "$@" ;;
*) command -v "${1:-}" >/dev/null || set -- node "$@" ;;
esac
exec "$@"
