"""A real worker with a tiny random model, spoken to over HTTP."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from openvino_worker import command, free_port, gauge, wait_for, worker
from tiny_models import byte_tokenizer, greedy, logits, make_model

from fairlead.engine.openvino.detokenize import Detokenizer, byte_table

TOKENIZER = byte_tokenizer()
TABLE, _ = byte_table(TOKENIZER, TOKENIZER.get_vocab_size())
PROMPT = [5, 90, 31, 77, 120, 8]
CONTEXT = 8192
RUNNING, WAITING = "vllm:num_requests_running", "vllm:num_requests_waiting"
LONG = {"max_tokens": CONTEXT - 100, "ignore_eos": True}
Model = tuple[Path, Path, dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder, cache = tmp_path_factory.mktemp("model"), tmp_path_factory.mktemp("cache")
    weights = make_model(folder, "LlamaForCausalLM", max_position_embeddings=CONTEXT)
    return folder, cache, json.loads((folder / "config.json").read_text()), weights


@pytest.fixture(scope="module")
def tiny(model: Model) -> Iterator[httpx.Client]:
    with worker(model[0], model[1], "--kv-cache-bytes", str(256 << 20)) as client:
        yield client


def chat(client: httpx.Client, **fields: Any) -> httpx.Response:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 12}
    return client.post("/v1/chat/completions", json=body | fields)


def complete(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    body = {"model": "tiny", "prompt": PROMPT, "max_tokens": 12, "temperature": 0}
    answer = client.post("/v1/completions", json=body | fields)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """The bodies of a stream's events; it has to end with [DONE]."""
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]


def text_of(ids: list[int]) -> str:
    detokenizer = Detokenizer(TABLE)
    return detokenizer.feed(ids) + detokenizer.finish()


def test_the_greedy_answer_is_the_numpy_references(tiny: httpx.Client, model: Model) -> None:
    ids = greedy(model[2], model[3], PROMPT, 12)
    assert len(ids) > 5
    answer = complete(tiny, ignore_eos=True, max_tokens=len(ids))
    assert answer["choices"][0]["text"] == text_of(ids)
    assert answer["usage"] == {"prompt_tokens": 6, "completion_tokens": len(ids), "total_tokens": 6 + len(ids)}


def test_log_probabilities_are_the_numpy_references(tiny: httpx.Client, model: Model) -> None:
    scores = complete(tiny, max_tokens=3, logprobs=1)["choices"][0]["logprobs"]["token_logprobs"]
    ids = greedy(model[2], model[3], PROMPT, 3)
    rows = logits(model[2], model[3], [*PROMPT, *ids])[len(PROMPT) - 1 : -1]
    expected = rows.max(-1) - np.log(np.exp(rows).sum(-1))
    assert scores == pytest.approx(expected.tolist(), abs=2e-3)


def test_a_stream_says_the_same_with_usage_at_the_end(tiny: httpx.Client) -> None:
    whole = chat(tiny, temperature=0).json()
    answer = chat(tiny, temperature=0, stream=True, stream_options={"include_usage": True})
    chunks = events(answer)
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1])
    assert text == whole["choices"][0]["message"]["content"]
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    assert answer.headers["x-fairlead-prompt-tokens"] == str(whole["usage"]["prompt_tokens"])
    assert all("usage" not in chunk for chunk in chunks[:-1])


def test_usage_in_every_chunk_when_asked(tiny: httpx.Client) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    counts = [c["usage"]["completion_tokens"] for c in events(chat(tiny, stream=True, stream_options=options))]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, 12)


def test_a_seed_fixes_the_answer_even_in_company(tiny: httpx.Client) -> None:
    def answer(seed: int) -> str:
        return str(chat(tiny, temperature=1, seed=seed).json()["choices"][0]["message"]["content"])

    alone = answer(7)
    with ThreadPoolExecutor(6) as pool:
        together = list(pool.map(answer, [7, 1, 7, 2, 7, 3]))
    assert together[::2] == [alone] * 3
    assert len({alone, *together[1::2]}) == 4


def test_without_a_seed_answers_differ(tiny: httpx.Client) -> None:
    assert len({chat(tiny, temperature=1.5).json()["choices"][0]["message"]["content"] for _ in range(4)}) > 1


def test_choices_differ_and_are_counted(tiny: httpx.Client) -> None:
    answer = chat(tiny, n=3, temperature=1, seed=1, ignore_eos=True).json()
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in answer["choices"]}) == 3
    assert answer["usage"]["completion_tokens"] == 36
    streamed = events(chat(tiny, n=3, temperature=1, seed=1, ignore_eos=True, stream=True))
    texts = ["", "", ""]
    for choice in (c["choices"][0] for c in streamed):
        texts[choice["index"]] += choice["delta"].get("content", "")
    assert texts == [choice["message"]["content"] for choice in answer["choices"]]


def test_several_prompts_and_echo(tiny: httpx.Client) -> None:
    answer = complete(tiny, prompt=["one", "two"], echo=True, n=2, temperature=1, max_tokens=4)
    assert [c["text"][:3] for c in answer["choices"]] == ["one", "one", "two", "two"]
    single = [complete(tiny, prompt=text)["usage"]["prompt_tokens"] for text in ("one", "two")]
    assert answer["usage"]["prompt_tokens"] == sum(single)


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer_before_it(tiny: httpx.Client, stream: bool) -> None:
    full = complete(tiny, max_tokens=40, ignore_eos=True)["choices"][0]["text"]
    stop = full[10:13]
    asked = {"model": "tiny", "prompt": PROMPT, "max_tokens": 40, "temperature": 0, "ignore_eos": True}
    answer = tiny.post("/v1/completions", json=asked | {"stop": stop, "stream": stream})
    parts = [c["choices"][0] for c in events(answer)] if stream else answer.json()["choices"]
    assert "".join(part["text"] for part in parts) == full[: full.index(stop)]
    assert parts[-1]["finish_reason"] == "stop"
    wait_for(lambda: gauge(tiny, RUNNING) == 0, 1.0)


def test_structured_output_matches_its_schema(tiny: httpx.Client) -> None:
    schema = {"enum": ["yes", "no", 17, {"deep": [True, None]}]}
    format = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}
    for seed in range(4):
        answer = chat(tiny, response_format=format, max_tokens=100, temperature=1, seed=seed).json()
        assert json.loads(answer["choices"][0]["message"]["content"]) in schema["enum"]
        assert answer["choices"][0]["finish_reason"] == "stop"
    unbound = chat(tiny, response_format={"type": "json_object"}, max_tokens=5).json()
    assert unbound["choices"][0]["message"]["content"].lstrip().startswith("{")


def test_a_bad_schema_harms_nobody_else(tiny: httpx.Client) -> None:
    """Such a schema would break every sequence of its batch if it came as far as the engine."""
    bad = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "banana"}}}
    with tiny.stream("POST", "/v1/completions", json={"model": "tiny", "prompt": "a", "stream": True} | LONG) as other:
        lines = other.iter_lines()
        next(lines)
        refusal = chat(tiny, response_format=bad)
        assert refusal.status_code == 400
        assert "banana" in refusal.json()["error"]["message"]
        assert any("text" in next(lines) for _ in range(10))
    wait_for(lambda: gauge(tiny, RUNNING) == 0, 1.0)
    assert chat(tiny).status_code == 200


REFUSALS: dict[str, tuple[dict[str, Any], int, str | None, str | None]] = {
    "an unknown model": ({"model": "other"}, 404, "model", "model_not_found"),
    "a prompt beyond the context": (
        {"messages": [{"role": "user", "content": "x! " * CONTEXT}]},
        400,
        "messages",
        "context_length_exceeded",
    ),
    "an answer beyond the context": ({"max_tokens": CONTEXT}, 400, "messages", "context_length_exceeded"),
    "a value against the engine's own rules": ({"stop_token_ids": [-7]}, 400, None, None),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools", "unsupported_parameter"),
}


@pytest.mark.parametrize(("fields", "status", "param", "code"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_have_openais_body(
    tiny: httpx.Client, fields: dict[str, Any], status: int, param: str | None, code: str | None
) -> None:
    for stream in (False, True):
        answer = chat(tiny, **fields, stream=stream)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
        assert set(error) == {"message", "type", "param", "code"}


def test_other_paths(tiny: httpx.Client) -> None:
    assert [model["id"] for model in tiny.get("/v1/models").json()["data"]] == ["tiny", "alias"]
    assert chat(tiny, model="alias").json()["model"] == "alias"
    assert tiny.get("/version").json()["version"]
    count = tiny.post("/tokenize", json={"model": "tiny", "messages": [{"role": "user", "content": "hello"}]}).json()
    assert count["count"] == len(count["tokens"]) == chat(tiny).json()["usage"]["prompt_tokens"]
    assert (tiny.get("/nowhere").status_code, tiny.get("/v1/completions").status_code) == (404, 405)
    assert tiny.get("/nowhere").json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("stream", [False, True])
def test_a_caller_who_leaves_takes_the_work_along(tiny: httpx.Client, stream: bool) -> None:
    aborted = gauge(tiny, 'vllm:request_success_total{finished_reason="abort",model_name="tiny"}')
    seen = threading.Event()
    asked = {"model": "tiny", "prompt": "a", "stream": stream} | LONG

    def call() -> None:
        """A streaming caller leaves when it has been seen at work, the other one after a second without an answer."""
        if not stream:
            impatient = httpx.Client(base_url=tiny.base_url, timeout=1.0, trust_env=False)
            with impatient, pytest.raises(httpx.ReadTimeout):
                impatient.post("/v1/completions", json=asked)
            return
        with tiny.stream("POST", "/v1/completions", json=asked):
            assert seen.wait(5.0)

    with ThreadPoolExecutor(1) as pool:
        caller = pool.submit(call)
        wait_for(lambda: gauge(tiny, RUNNING) == 1, 5.0)
        seen.set()
        caller.result()
    wait_for(lambda: gauge(tiny, RUNNING) == 0, 0.9)
    assert gauge(tiny, 'vllm:request_success_total{finished_reason="abort",model_name="tiny"}') == aborted + 1


def test_fifty_streams_at_once(tiny: httpx.Client) -> None:
    def one(number: int) -> str:
        asked = {
            "messages": [{"role": "user", "content": f"number {number % 5}"}],
            "temperature": 0,
            "ignore_eos": True,
        }
        answer = chat(tiny, stream=True, max_tokens=30, stream_options={"include_usage": True}, **asked)
        chunks = events(answer)
        assert chunks[-1]["usage"]["completion_tokens"] == 30
        return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1])

    with ThreadPoolExecutor(50) as pool:
        texts = list(pool.map(one, range(50)))
    assert texts == texts[:5] * 10
    assert len(set(texts)) == 5


def test_metrics_have_vllms_names_and_count_right(tiny: httpx.Client) -> None:
    before = gauge(tiny, "vllm:generation_tokens_total")
    used = complete(tiny, max_tokens=7, ignore_eos=True)["usage"]["completion_tokens"]
    assert gauge(tiny, "vllm:generation_tokens_total") == before + used
    histograms = ["time_to_first_token", "inter_token_latency", "e2e_request_latency", "request_time_per_output_token"]
    histograms += ["request_queue_time", "request_prefill_time", "request_decode_time"]
    assert all(gauge(tiny, f"vllm:{name}_seconds_count") > 0 for name in histograms)
    assert gauge(tiny, RUNNING) == gauge(tiny, WAITING) == gauge(tiny, "vllm:kv_cache_usage_perc") == 0


def test_overload_is_refused_at_once(model: Model) -> None:
    asked = {"model": "tiny", "prompt": "a"} | LONG
    with worker(model[0], model[1], "--max-num-seqs", "1", "--max-queue", "1") as client, ThreadPoolExecutor(2) as pool:
        with client.stream("POST", "/v1/completions", json=asked | {"stream": True}) as first:
            lines = first.iter_lines()  # dropping the iterator would close the stream
            next(lines)
            waiting = pool.submit(client.post, "/v1/completions", json=asked | {"max_tokens": 3})
            wait_for(lambda: gauge(client, WAITING) == 1, 5.0)
            refusal = client.post("/v1/completions", json=asked)
            assert (refusal.status_code, refusal.json()["error"]["code"]) == (429, "engine_overloaded")
            assert 1 <= int(refusal.headers["retry-after"]) <= 60
        assert waiting.result().json()["usage"]["completion_tokens"] == 3  # its turn came when the first one left


AUDIT = """
import runpy, sys
def audit(event, arguments):
    if event in ("socket.connect", "socket.sendto") and arguments[1][0] not in ("127.0.0.1", "::1"):
        sys.stderr.write(f"PHONED {event} {arguments[1]}\\n"); sys.stderr.flush()
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "localhost", None):
        sys.stderr.write(f"PHONED {event} {arguments[0]}\\n"); sys.stderr.flush()
sys.addaudithook(audit)
"""


def test_nothing_phones_home(model: Model, tmp_path: Path) -> None:
    """Without the precaution, importing OpenVINO sends a usage event and keeps a client id in the home directory."""
    port = free_port()
    argv = command(model[0], tmp_path / "cache", port)[3:]
    watched = (
        f"{AUDIT}\nsys.argv = ['worker', *{argv!r}]\nrunpy.run_module('fairlead.engine.openvino', run_name='__main__')"
    )
    (tmp_path / "home").mkdir()  # without a home the telemetry stays silent, and this test would prove nothing
    environment = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
    trace = tmp_path / "trace"
    strace = ["strace", "-D", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto", "-o", str(trace)]
    traced = strace if shutil.which("strace") else []  # it sees native code too; the hook sees Python's calls only
    argv = [*traced, sys.executable, "-c", watched]
    process = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            wait_for(lambda: process.poll() is not None or ready(client), 60.0)
            assert chat(client, response_format={"type": "json_object"}).status_code == 200
        process.terminate()
        said = process.communicate(timeout=20)[1]
    finally:
        process.kill()
    assert "PHONED" not in said
    if traced:
        calls = trace.read_text().splitlines()
        assert not [call for call in calls if "AF_INET" in call and "127.0.0.1" not in call and "::1" not in call]
    assert not list((tmp_path / "home").rglob("*"))


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def test_the_audit_hook_sees_what_it_should() -> None:
    """The test above would prove nothing if its hook were blind."""
    attempt = f"{AUDIT}\nimport socket\ns = socket.socket(); s.setblocking(False)\ns.connect_ex(('192.0.2.1', 9))"
    said = subprocess.run([sys.executable, "-c", attempt], capture_output=True, text=True, check=False)
    assert "PHONED socket.connect" in said.stderr


WRONG_STARTS: dict[str, tuple[list[str], str]] = {
    "a longer context than trained": (["--max-model-len", "9000"], "9000 exceeds the 8192 tokens"),
    "a cache too small for one sequence": (["--kv-cache-bytes", "1000"], "cannot hold one sequence"),
}


@pytest.mark.parametrize(("options", "said"), WRONG_STARTS.values(), ids=WRONG_STARTS)
def test_a_wrong_start_ends_with_a_reason_and_a_hint(model: Model, options: list[str], said: str) -> None:
    argv = command(model[0], model[1], free_port(), options)
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "hint:" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_sigterm_lets_running_answers_end(model: Model) -> None:
    port = free_port()
    process = subprocess.Popen(command(model[0], model[1], port))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            wait_for(lambda: ready(client), 60.0)
            asked = {"model": "tiny", "prompt": "a", "stream": True, "max_tokens": 300, "ignore_eos": True}
            with client.stream("POST", "/v1/completions", json=asked) as answer:
                lines = answer.iter_lines()
                next(lines)
                process.send_signal(signal.SIGTERM)
                assert [line for line in lines if line][-1] == "data: [DONE]"
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


BROKEN = """
import asyncio, logging, sys
from pathlib import Path
from fairlead.engine.openvino.model_files import resolve
from fairlead.engine.openvino.scheduler import Limits
from fairlead.engine.openvino.settings import parse
from fairlead.engine.openvino.worker import Worker

class Breaks:
    "Stands in for OpenVINO's pipeline: the first step throws."
    asked = 0
    def add_request(self, *_): self.asked = 1; return self
    def has_non_finished_requests(self): return bool(self.asked)
    def step(self): raise RuntimeError("somewhere.cpp:1:\\nout of memory")

async def main(argv):
    settings = parse(argv)
    files = resolve(settings.model, settings.cache_dir)
    return await Worker(settings, files, Breaks(), Limits(4, 4, 1000, 32), 512).run()

sys.exit(asyncio.run(main(sys.argv[1:])))
"""


def test_a_lost_engine_ends_the_process_and_says_why(model: Model) -> None:
    port = free_port()
    argv = [sys.executable, "-c", BROKEN, *command(model[0], model[1], port)[3:]]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            wait_for(lambda: ready(client), 60.0)
            answer = chat(client)
        said = process.communicate(timeout=20)[1]
    finally:
        process.kill()
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "engine_error")
    assert process.returncode == 1
    assert said.strip() == "engine failed: out of memory"
