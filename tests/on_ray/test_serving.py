"""Two Ray nodes on this machine, two models in the real vLLM: the gateway in front hides that it is Ray.

The tests share one cluster and run in the order of this file; the one that kills a node is the last.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from contract.checks import CHECKS, text_of
from contract.endpoint import Endpoint, loopback_client
from contract.engines import openvino

from .rows import answers, rows, write
from .service import Service, command, own_cluster, service, started, until

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1200)]

CANARY = "xyzzy-7431"
PROMPTS = ("What is Fairlead?", "Who are you?", "What is a KV cache?", "What is the capital of France?", "hello")
PAIRS = 200
ROWS, KILLS = 1000, 3
REST_S = 1.0


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("fleet")
    with service(folder, {"demo": "demo:v1", "other": "demo:v2"}, own_cluster(nodes=2)) as running:
        yield running


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with loopback_client() as made:
        yield made


@pytest.fixture(scope="module")
def endpoint(fleet: Service, client: httpx.Client) -> Endpoint:
    metrics = fleet.keeper + "/metrics"
    return Endpoint(client, f"{fleet.url}/v1", "demo", metrics_url=metrics, api_key=fleet.key)


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_contract(endpoint: Endpoint, check: Callable[[Endpoint], None]) -> None:
    check(endpoint)


def test_the_words_are_those_of_the_embedded_engine(endpoint: Endpoint, tmp_path: Path) -> None:
    theirs = {prompt: text_of(endpoint.chat(prompt)) for prompt in PROMPTS}
    with openvino(tmp_path) as own:
        assert {prompt: text_of(own.chat(prompt)) for prompt in PROMPTS} == theirs


def test_both_models_answer_and_stream_with_usage(fleet: Service, client: httpx.Client) -> None:
    for model in ("demo", "other"):
        answer = fleet.chat(client, model)
        assert answer.status_code == 200, answer.text
        usage = answer.json()["usage"]
        streamed = fleet.chat(client, model, stream=True, stream_options={"include_usage": True})
        assert f'"completion_tokens":{usage["completion_tokens"]}' in streamed.text.replace(" ", "")


def test_status_shows_nodes_and_deployments(fleet: Service) -> None:
    ray = fleet.status()["ray"]
    assert [node["is_head"] for node in ray["nodes"]] == [True, False]
    assert [node["resources"]["CPU"] for node in ray["nodes"]] == [2.0, 2.0]
    deployments = {each["name"]: each for each in ray["deployments"]}
    assert set(deployments) == {"LLMServer:demo", "LLMServer:other", "OpenAiIngress"}
    assert all(each["replicas"] == {"RUNNING": 1} for each in deployments.values())
    assert deployments["LLMServer:demo"]["nodes"] != deployments["LLMServer:other"]["nodes"]
    assert (ray["state"], ray["queued"]) == ("RUNNING", 0)


def test_nothing_listens_beyond_loopback(fleet: Service) -> None:
    listening = {
        (process.name(), connection.laddr.ip)
        for process in fleet.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert len(listening) > 5
    assert {ip for _, ip in listening} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, listening


def test_the_cluster_asks_for_its_token(fleet: Service, client: httpx.Client) -> None:
    dashboard = fleet.process("ray-head")["url"]
    assert client.get(f"{dashboard}/api/serve/applications/").status_code == 401
    assert client.put(f"{dashboard}/api/serve/applications/", json={"applications": []}).status_code == 401
    assert client.post(f"{dashboard}/api/jobs/", json={"entrypoint": "true"}).status_code == 401


def test_no_log_holds_a_prompt(fleet: Service, client: httpx.Client) -> None:
    messages = [{"role": "user", "content": CANARY}]
    assert fleet.chat(client, "demo", messages=messages).status_code == 200
    assert fleet.chat(client, "demo", messages=messages, temperature=-1).status_code == 400
    head = psutil.Process(fleet.process("ray-head")["pid"]).cmdline()
    session = Path(head[head.index("--temp-dir") + 1])
    logs = [
        path
        for folder in (session, fleet.folder)
        for path in folder.rglob("*")
        if path.suffix in (".log", ".out", ".err")
    ]
    assert len(logs) > 10
    assert [path for path in logs if CANARY in path.read_text(errors="replace")] == []


def test_the_gateway_adds_little(
    fleet: Service, client: httpx.Client, record_property: Callable[[str, object], None]
) -> None:
    """Requests in turn, to Ray's own proxy and through the gateway. On a busy machine both wait for a core, so what is
    judged is the tenth percentile of either; the medians are told."""
    config = json.loads((fleet.folder / ".fairlead" / "gateway.json").read_text())
    direct = Service(fleet.folder, config["models"]["demo"]["upstreams"][0], fleet.key)
    took: dict[Service, list[float]] = {direct: [], fleet: []}
    for _ in range(PAIRS):
        for way, seconds in took.items():
            began = time.perf_counter()
            assert way.chat(client, "demo", max_tokens=1).status_code == 200
            seconds.append((time.perf_counter() - began) * 1e3)
    for name, at in (("p50", PAIRS // 2), ("p10", PAIRS // 10)):
        base, ours = (sorted(took[way])[at] for way in (direct, fleet))
        record_property(f"added_ms_{name}", ours - base)
        print(f"\n{name}: Ray alone {base:.2f} ms; the gateway adds {ours - base:.2f} ms")
    assert ours - base < 0.1 * base


def test_ray_data_answers_as_the_gateway_does_and_each_row_once(fleet: Service) -> None:
    """Killed in the middle, three times over, the same command goes on; then the words are those of the HTTP batch."""
    folder = fleet.folder
    write(folder / "rows.jsonl", rows(ROWS))
    argv = ("batch", "run", "rows.jsonl", "ray.jsonl", "--engine", "ray", "--tenant", "night", "--json")
    known = 0
    for _ in range(KILLS):
        killed_after_more_than(known, started(folder, *argv), folder)
        known = results(folder)
    done = command(folder, *argv)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["resumed"] == known > 0
    before = billed(folder)
    done = command(folder, "batch", "run", "rows.jsonl", "http.jsonl", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = answers(folder / "ray.jsonl"), answers(folder / "http.jsonl")
    assert len(ours) == ROWS
    assert ours == theirs
    assert before["night"] == ROWS
    assert billed(folder) == {**before, "local": before["local"] + ROWS}


def test_ray_data_says_what_is_wrong_with_a_row(fleet: Service) -> None:
    good, hot, far, other = rows(4)
    hot["body"]["temperature"] = -1
    far["body"]["model"] = "no-such-model"
    other["url"] = "/v1/embeddings"
    write(fleet.folder / "wrong.jsonl", [good, hot, far, other])
    done = command(fleet.folder, "batch", "run", "wrong.jsonl", "right.jsonl", "--engine", "ray", "--json")
    assert done.returncode == 1, done.stderr
    assert list(answers(fleet.folder / "right.jsonl")) == [good["custom_id"]]
    lines = (fleet.folder / "right.errors.jsonl").read_text().splitlines()
    errors = {json.loads(line)["custom_id"]: line for line in lines}
    assert "temperature" in errors[hot["custom_id"]]
    assert "no-such-model" in errors[far["custom_id"]]
    assert "/v1/embeddings" in errors[other["custom_id"]]


def billed(folder: Path) -> dict[str, int]:
    """Requests in the ledger, by tenant."""
    done = command(folder, "usage", "--by", "tenant", "--json")
    return {each["tenant"]: each["requests"] for each in json.loads(done.stdout)}


def killed_after_more_than(known: int, running: subprocess.Popen[bytes], folder: Path) -> None:
    until(lambda: results(folder) > known or running.poll() is not None, "some more answers")
    running.kill()
    running.wait()


def results(folder: Path) -> int:
    """Answers that are written down."""
    path = folder / "ray.jsonl.part" / "results.jsonl"
    return len(path.read_bytes().splitlines()) if path.exists() else 0


@dataclass
class Caller:
    """Asks a model again and again until told to stop, and remembers what it was told.

    It rests between two questions: an engine that starts beside engines that never rest would wait for a core.
    """

    running: Service
    model: str
    ended: threading.Event
    answers: list[httpx.Response] = field(default_factory=list)

    def __call__(self) -> None:
        with loopback_client() as client:
            client.timeout = httpx.Timeout(600.0)
            while not self.ended.wait(REST_S):
                self.answers.append(self.running.chat(client, self.model, max_tokens=24, ignore_eos=True))


def test_a_node_that_dies_under_load_comes_back_by_itself(fleet: Service, client: httpx.Client) -> None:
    """Requests in flight there may fail, and then cleanly; the other node's callers notice nothing."""
    node = fleet.process("ray-node-1")
    (lost,) = {each["id"] for each in fleet.cluster()["nodes"] if not each["is_head"]}
    placed = {each["name"]: each["nodes"] for each in fleet.cluster()["deployments"]}
    victim, survivor = ("demo", "other") if placed["LLMServer:demo"] == [lost] else ("other", "demo")
    ended = threading.Event()
    callers = [Caller(fleet, model, ended) for model in (victim, survivor) for _ in range(2)]
    threads = [threading.Thread(target=caller) for caller in callers]
    for thread in threads:
        thread.start()
    try:
        until(lambda: all(len(caller.answers) > 3 for caller in callers), "load on both models")
        for process in [psutil.Process(node["pid"]), *psutil.Process(node["pid"]).children(recursive=True)]:
            process.kill()
        until(lambda: recovered(fleet, lost), "all replicas, on two nodes", every_s=3.0)
        counts = [len(caller.answers) for caller in callers]
        until(
            lambda: all(len(caller.answers) > count + 3 for caller, count in zip(callers, counts, strict=True)), "work"
        )
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert fleet.process("ray-node-1")["restarts"] == node["restarts"] + 1
    told = {
        caller.model: [answer for each in callers if each.model == caller.model for answer in each.answers]
        for caller in callers
    }
    assert told[victim][-1].status_code == 200
    for answer in (answer for each in told.values() for answer in each if answer.status_code != 200):
        assert answer.status_code >= 500
        assert answer.json()["error"]["message"]
        assert "Internal exception" not in answer.text
    assert {answer.status_code for answer in told[survivor]} == {200}


def recovered(fleet: Service, lost: str) -> bool:
    ray = fleet.cluster()
    nodes = {node["id"] for node in ray["nodes"]}
    everywhere = all(each["replicas"].get("RUNNING") == each["target"] for each in ray["deployments"])
    return ray["state"] == "RUNNING" and len(nodes) == 2 and lost not in nodes and everywhere
