"""A batch's own Ray cluster: what is rendered for it is deployed with its token, and waited for; what fails is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from fairlead.errors import UserError
from fairlead.ops.ray_batch import on_own_cluster
from fairlead.render.engines.ray_jobs import cluster_file
from render.plans import built

TOKEN = {"RAY_AUTH_TOKEN": "t" * 16}
FAILED = {"status": "DEPLOY_FAILED", "message": "no module named vllm"}


@contextmanager
def dashboard(*states: Mapping[str, str]) -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """A dashboard whose application goes through `states`, the last of them for good; what it was asked."""
    seen: list[tuple[str, str, Any]] = []
    left = list(states)

    class Page(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.append(("PUT", self.headers["authorization"], json.loads(body)))
            self.answer({})

        def do_GET(self) -> None:
            seen.append(("GET", self.headers["authorization"], None))
            self.answer({"applications": {"llm": left.pop(0) if len(left) > 1 else left[0]}})

        def answer(self, page: Any) -> None:
            told = json.dumps(page).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(told)))
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def written(folder: Path, url: str, **more: Any) -> Path:
    """The rendered file, with this dashboard."""
    build = built(target="kuberay")
    assert build.spec.deploy is not None
    told = {**cluster_file(build, build.spec.deploy.jobs["nightly"]), "dashboard": url, **more}
    path = folder / "cluster.json"
    path.write_text(json.dumps(told))
    return path


def test_the_models_are_deployed_with_the_token_and_waited_for(tmp_path: Path) -> None:
    with dashboard({"status": "DEPLOYING"}, {"status": "RUNNING"}) as (url, seen):
        file = written(tmp_path, url)
        engine = on_own_cluster(file, TOKEN)
    assert [kind for kind, _, _ in seen] == ["PUT", "GET", "GET"]
    assert {token for _, token, _ in seen} == {f"Bearer {TOKEN['RAY_AUTH_TOKEN']}"}
    assert seen[0][2] == json.loads(file.read_text())["config"]
    assert (engine.app, engine.models) == ("llm", {"llama-8b": "llama-8b"})


def test_models_that_cannot_start_are_told_in_rays_words(tmp_path: Path) -> None:
    with dashboard(FAILED) as (url, _), pytest.raises(UserError, match="not started llama-8b: no module named vllm"):
        on_own_cluster(written(tmp_path, url), TOKEN)


def test_it_waits_for_no_longer_than_it_is_told(tmp_path: Path) -> None:
    with dashboard({"status": "DEPLOYING"}) as (url, _), pytest.raises(UserError, match="not started llama-8b"):
        on_own_cluster(written(tmp_path, url, start_timeout_s=0.1), TOKEN)


def test_a_head_that_does_not_answer_is_told(tmp_path: Path) -> None:
    with dashboard(FAILED) as (url, _):
        pass
    with pytest.raises(UserError, match="does not answer"):
        on_own_cluster(written(tmp_path, url), TOKEN)


@pytest.mark.parametrize(("text", "message"), [(None, "cannot be read"), ('{"dashboard": 1}', "no file of a Ray")])
def test_what_is_no_such_file_is_told(text: str | None, message: str, tmp_path: Path) -> None:
    file = tmp_path / "cluster.json"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=message):
        on_own_cluster(file, TOKEN)
