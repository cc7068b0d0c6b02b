#!/usr/bin/env bash
# Make a virtual environment with uv in it. Debian and Ubuntu ship Python without venv: then install that first.
set -euo pipefail
venv=$1
python=${PYTHON:-python3}

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "fairlead needs Python 3.11 or newer; $python is $("$python" -V 2>&1). Name another: make PYTHON=python3.12" >&2
  exit 1
}
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  version=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  echo "this Python has no venv; installing $version"
  sudo=$([ "$(id -u)" = 0 ] || command -v sudo || true)
  command -v apt-get >/dev/null || { echo "install the venv module of $python, then run make again" >&2; exit 1; }
  $sudo apt-get update -q >/dev/null
  $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$version" >/dev/null
fi
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check "uv>=0.13"
