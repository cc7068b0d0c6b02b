#!/usr/bin/env bash
# Train both demo models again and print how well they do on held-out questions. A quarter of an hour on one core.
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=.cache/demo-model/venv
[ -x "$venv/bin/python" ] || "${PYTHON:-python3}" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r tools/demo_model/requirements.txt
"$venv/bin/python" tools/demo_model/train.py v1 v2
"$venv/bin/python" tools/demo_model/evaluate.py --limit 20 v1 v2
