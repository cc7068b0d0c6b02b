#!/usr/bin/env bash
# Programs that tests talk to besides Python packages. Where they are missing the tests that need them skip and say so.
set -euo pipefail
missing=()
command -v node >/dev/null || missing+=(nodejs npm)
command -v cc >/dev/null || missing+=(gcc libc6-dev)
command -v nginx >/dev/null || missing+=(nginx-light)
[ ${#missing[@]} -eq 0 ] && exit 0
command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || { echo "not installed: ${missing[*]}"; exit 0; }
apt-get update -q >/dev/null
DEBIAN_FRONTEND=noninteractive apt-get install -y -q "${missing[@]}" >/dev/null
