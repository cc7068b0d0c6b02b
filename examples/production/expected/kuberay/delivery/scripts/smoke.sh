#!/usr/bin/env bash
# One answer from the service as callers get it: through TLS, with a key, from a model. usage: smoke.sh URL
set -euo pipefail

url=$1
model=${SMOKE_MODEL:?a model\'s public name}
key=${SMOKE_KEY:?a key of the gateway}
body=$(printf '{"model": "%s", "max_tokens": 8, "messages": [{"role": "user", "content": "Say yes."}]}' "$model")

# the key comes over a file descriptor: a command line can be read by everybody on the machine
answer=$(curl --fail-with-body --silent --show-error --max-time 60 --retry 5 --retry-delay 5 --retry-all-errors \
  --header @<(printf 'Authorization: Bearer %s' "$key") --header 'Content-Type: application/json' \
  --data "$body" "$url/v1/chat/completions")
case $answer in
  *'"choices"'*) echo "$url answers" ;;
  *) echo "no answer of a model: ${answer:0:200}" >&2 && exit 1 ;;
esac
