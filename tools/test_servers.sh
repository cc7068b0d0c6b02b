#!/usr/bin/env bash
# The real servers that tests start: PostgreSQL and Redis. Installs from Debian packages what is missing, where it may;
# says plainly what stays missing. The servers that a package starts by itself are not used.
set -euo pipefail
missing=()
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || command -v initdb >/dev/null || missing+=(postgresql)
command -v valkey-server >/dev/null || command -v redis-server >/dev/null || missing+=(redis-server)
[ ${#missing[@]} -eq 0 ] && exit 0
command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || { echo "not installed, so their tests skip: ${missing[*]}"; exit 0; }
apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
