"""What `terraform plan` would make of a folder, one address a line; run by the judges' Python, beside their oracle.

    python terraform_plan.py ORACLES DIR [VAR_FILE]

Prints the planned resources' addresses and, as JSON behind `outputs `, the planned outputs.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path


def main(oracles: str, folder: str, *var_files: str) -> None:
    sys.path.insert(0, oracles)
    from terraform_oracle import Workspace  # type: ignore[import-not-found]

    with tempfile.TemporaryDirectory() as temporary:
        workspace = Workspace(Path(folder).resolve(), Path(temporary))
        (workspace.module / "zz_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
        workspace.run("get", "-no-color")
        workspace.run("init", "-input=false", "-no-color")
        options = [f"-var-file={Path(path).resolve()}" for path in var_files]
        done = workspace.run("plan", "-json", "-input=false", "-lock=false", "-no-color", "-out=made", *options)
        shown = workspace.run("show", "-json", "-no-color", "made").stdout if done.returncode == 0 else "{}"
    for line in done.stdout.splitlines():
        event = json.loads(line)
        if event["type"] == "planned_change":
            print(event["change"]["resource"]["addr"])
        if event["type"] == "diagnostic" and event["diagnostic"]["severity"] == "error":
            print(event["@message"], file=sys.stderr)
    outputs = json.loads(shown).get("planned_values", {}).get("outputs", {})
    print("outputs", json.dumps({name: each.get("value") for name, each in outputs.items()}))
    sys.exit(done.returncode)


if __name__ == "__main__":
    main(*sys.argv[1:])
