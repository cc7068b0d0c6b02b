"""deploy.sh runs here, with a kubectl that writes down what it is told: what fails is followed by what ran before."""

from __future__ import annotations

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead.render.delivery.pipelines import constant

KUBECTL = """\
#!/usr/bin/env bash
# applies by keeping the folder's content, and fails where that says so
echo "$*" >> "$STAGE/calls"
case "$*" in
  "get namespace"*) cat "$STAGE/commit" 2>/dev/null ;;
  apply*) cat "${@: -1}/kustomization.yaml" > "$STAGE/applied" ;;
  *"rollout status"*) ! grep -q broken "$STAGE/applied" ;;
  annotate*) [[ "$*" =~ fairlead.dev/commit=([0-9a-f]{40}) ]] && echo -n "${BASH_REMATCH[1]}" > "$STAGE/commit" ;;
  *" get "*) exit 1 ;;
esac
"""
ANSWER = {"choices": [{"message": {"content": "yes"}}]}


class Service(http.server.BaseHTTPRequestHandler):
    """A gateway that answers, or does not."""

    answer: object = ANSWER
    keys: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.keys.append(self.headers["Authorization"])
        body = json.dumps(self.answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


class Stage:
    """A repository with the scripts and one rendered folder, a stand-in for kubectl, and a service."""

    def __init__(self, folder: Path, url: str) -> None:
        self.repository, self.state, self.url = folder / "repository", folder / "state", url
        for path in ("scripts/deploy.sh", "scripts/smoke.sh"):
            (self.repository / path).parent.mkdir(parents=True, exist_ok=True)
            (self.repository / path).write_text(constant()[path])
        self.state.mkdir()
        kubectl = self.state / "kubectl"
        kubectl.write_text(KUBECTL)
        kubectl.chmod(0o755)
        self.git("init", "-q")

    def git(self, *arguments: str) -> str:
        options = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        command = ["git", *options, *arguments]
        return subprocess.run(command, cwd=self.repository, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, manifests: str) -> str:
        """A new version of the rendered folder; its commit."""
        file = self.repository / "rendered" / "dev" / "manifests" / "kustomization.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(manifests)
        self.git("add", "-A")
        self.git("commit", "-qm", manifests)
        return self.git("rev-parse", "HEAD")

    def deploy(self) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "PATH": f"{self.state}:{os.environ['PATH']}",
            "STAGE": str(self.state),
            "SMOKE_KEY": "fl-secret",
            "SMOKE_MODEL": "demo",
            "no_proxy": "*",
        }
        command = ["bash", "scripts/deploy.sh", "rendered/dev", "chat", self.url]
        return subprocess.run(
            command, cwd=self.repository, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def applied(self) -> str:
        return (self.state / "applied").read_text()

    def running(self) -> str:
        return (self.state / "commit").read_text()


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(Service, "answer", ANSWER)
    Service.keys = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Stage(tmp_path, f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()
        thread.join()


def test_what_answers_is_written_down_as_what_runs(stage: Stage) -> None:
    commit = stage.commit("first")
    done = stage.deploy()
    assert done.returncode == 0, done.stderr
    assert stage.running() == commit
    assert Service.keys == ["Bearer fl-secret"]


def test_what_does_not_come_up_is_replaced_by_what_ran(stage: Stage) -> None:
    first = stage.commit("first")
    assert stage.deploy().returncode == 0
    stage.commit("broken")
    done = stage.deploy()
    assert done.returncode == 1
    assert f"going back to {first}" in done.stderr
    assert (stage.applied(), stage.running()) == ("first", first)


def test_what_comes_up_and_does_not_answer_is_replaced_too(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    first = stage.commit("first")
    assert stage.deploy().returncode == 0
    stage.commit("second")
    monkeypatch.setattr(Service, "answer", {"error": {"message": "no upstream"}})
    done = stage.deploy()
    assert done.returncode == 1
    assert "no answer of a model" in done.stderr
    assert (stage.applied(), stage.running()) == ("first", first)


def test_with_nothing_before_it_says_so(stage: Stage) -> None:
    stage.commit("broken")
    done = stage.deploy()
    assert done.returncode == 1
    assert "nothing ran here before" in done.stderr


def test_the_key_is_on_no_command_line() -> None:
    assert "$SMOKE_KEY" not in constant()["scripts/deploy.sh"]
    assert '--header "Authorization' not in constant()["scripts/smoke.sh"]
