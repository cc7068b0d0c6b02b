"""The command line on a file in a folder of its own, as its users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from typer.testing import CliRunner

from fairlead.cli.main import app
from fairlead.errors import UserError
from gateway.harness import free_port


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Service:
    """A folder with a fairlead.yaml, and the environment that its commands run in."""

    folder: Path
    environ: Mapping[str, str]

    @property
    def file(self) -> Path:
        return self.folder / "fairlead.yaml"

    @property
    def state(self) -> Path:
        return self.folder / ".fairlead"

    def run(self, *words: str, **more: str) -> Done:
        """A command; `more` goes into its environment. Only what starts or ends a service is a process of its own."""
        environ = {"COLUMNS": "200", **self.environ, **more}
        if words[0] in {"up", "down"}:
            command = [sys.executable, "-m", "fairlead.cli.main", *words]
            made = subprocess.run(
                command, cwd=self.folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False
            )
            return Done(made.returncode, made.stdout, made.stderr)
        with chdir(self.folder):
            result = CliRunner().invoke(app, words, env=environ)
        error = result.exception
        if isinstance(error, UserError):  # as fairlead.cli.main:main tells it
            told = "\n".join(problem.text() for problem in error.problems)
            return Done(error.exit_code, result.stdout, f"{told}\n{len(error.problems)} problems\n")
        if error is not None and not isinstance(error, SystemExit):
            raise error
        return Done(result.exit_code, result.stdout, result.stderr)

    def json(self, *words: str, **more: str) -> Any:
        done = self.run(*words, "--json", **more)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)


def written(folder: Path, text: str, **environ: str) -> Service:
    """The file, its header added."""
    folder.mkdir(parents=True, exist_ok=True)
    header = "apiVersion: fairlead/v1\nname: test\n"
    (folder / "fairlead.yaml").write_text(header + dedent(text).lstrip())
    return Service(folder, environ)


def ports() -> str:
    """The lines of `gateway:` that give it ports of its own."""
    return f"port: {free_port()}, admin_port: {free_port()}"


@contextmanager
def up(service: Service) -> Iterator[dict[str, Any]]:
    """The service while it runs; what `up` told."""
    told = service.json("up", "--detach")
    try:
        yield told
    finally:
        down = service.run("down")
    assert down.returncode == 0, down.stderr
    log = (service.state / "logs" / "gateway.log").read_text()
    assert "Traceback" not in log, log[-4000:]
