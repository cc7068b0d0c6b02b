#!/usr/bin/env bash
# The real servers that tests start: PostgreSQL and Redis. Installs from Debian packages what is missing, where it may;
# says plainly what stays missing, whose tests then skip (and fail with CI=true: there nothing is skipped). The servers
# that a package starts by itself are not used.
set -euo pipefail

missing() {
  compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || command -v initdb >/dev/null || echo postgresql
  command -v valkey-server >/dev/null || command -v redis-server >/dev/null || echo redis-server
}

mapfile -t wanted < <(missing)
[ ${#wanted[@]} -eq 0 ] && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  echo "installing for the tests: ${wanted[*]}"
  apt-get update -q >/dev/null || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${wanted[@]}" >/dev/null 2>&1 || true
fi
mapfile -t absent < <(missing)
[ ${#absent[@]} -eq 0 ] && exit 0
echo "not installed: ${absent[*]}. Their tests skip and say so; with CI=true they fail."
