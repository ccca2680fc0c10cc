#!/bin/sh
# Like the official image: what lies in /docker-entrypoint.d, and templates filled in by envsubst.
set -e

fill_in_templates() {
  from=${NGINX_ENVSUBST_TEMPLATE_DIR:-/etc/nginx/templates}
  to=${NGINX_ENVSUBST_OUTPUT_DIR:-/etc/nginx/conf.d}
  suffix=${NGINX_ENVSUBST_TEMPLATE_SUFFIX:-.template}
  [ -d "$from" ] || return 0
  if [ ! -w "$to" ]; then
    echo "$0: ERROR: $from exists, but $to is not writable" >&2
    return 0
  fi
  # Only names that are set: nginx's own variables look the same.
  names=$(awk -v filter="${NGINX_ENVSUBST_FILTER:-}" \
    'BEGIN { for (name in ENVIRON) if (name ~ filter) printf "${%s} ", name }')
  find "$from" -follow -type f -name "*$suffix" | while read -r template; do
    file=$to/${template#"$from"/}
    file=${file%"$suffix"}
    mkdir -p "$(dirname "$file")"
    envsubst "$names" <"$template" >"$file"
  done
}

if [ "${1:-}" = nginx ]; then
  [ -z "${NGINX_ENTRYPOINT_LOCAL_RESOLVERS:-}" ] || NGINX_LOCAL_RESOLVERS=$(
    awk '$1 == "nameserver" { printf "%s%s", sep, $2; sep = " " }' /etc/resolv.conf)
  [ -z "${NGINX_LOCAL_RESOLVERS:-}" ] || export NGINX_LOCAL_RESOLVERS
  fill_in_templates
  for script in /docker-entrypoint.d/*; do
    # shellcheck source=/dev/null
    case $script in
    *.envsh) [ ! -x "$script" ] || . "$script" ;;
    *.sh) [ ! -x "$script" ] || "$script" ;;
    esac
  done
fi
exec "$@"
