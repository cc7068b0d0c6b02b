"""An OpenAI-compatible endpoint as the checks see it: a URL, a key, a model's name, and the engine's own metrics."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

JsonObject = dict[str, Any]
PATIENCE_S = 30.0
SAMPLE = re.compile(r"^(?P<name>[\w:]+)(?:\{[^}]*\})? (?P<value>\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`base_url` ends in /v1. `metrics_url` is the engine's, also when the checks go through a gateway."""

    client: httpx.Client
    base_url: str
    model: str
    metrics_url: str
    api_key: str = ""

    @property
    def headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.base_url + path, headers=self.headers)

    def post(self, path: str, body: JsonObject) -> httpx.Response:
        return self.client.post(self.base_url + path, json={"model": self.model, **body}, headers=self.headers)

    def answer(self, path: str, body: JsonObject) -> JsonObject:
        """The body of an answer that must be 200."""
        response = self.post(path, body)
        assert response.status_code == 200, response.text
        answer: JsonObject = response.json()
        return answer

    def chat(self, prompt: str, **options: Any) -> JsonObject:
        """A greedy answer to one message, unless the options say otherwise."""
        return self.answer("/chat/completions", chat_body(prompt, **options))

    @contextmanager
    def opened(self, path: str, body: JsonObject) -> Iterator[Iterator[JsonObject]]:
        """The events of a stream, as they come, less the last `[DONE]`, which must be there."""
        sent = {"model": self.model, "stream": True, **body}
        with self.client.stream("POST", self.base_url + path, json=sent, headers=self.headers) as response:
            assert response.status_code == 200, response.read()
            assert response.headers["content-type"].startswith("text/event-stream")
            yield events(response.iter_lines())

    def stream(self, path: str, body: JsonObject) -> list[JsonObject]:
        with self.opened(path, body) as stream:
            return list(stream)

    @contextmanager
    def left_alone(self, path: str, body: JsonObject) -> Iterator[None]:
        """A request whose answer is never read; at the end of the block its caller is gone."""
        place = urlsplit(self.base_url)
        content = json.dumps({"model": self.model, **body}).encode()
        head = [f"POST {place.path}{path} HTTP/1.1", f"host: {place.netloc}", "content-type: application/json"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        head += [f"content-length: {len(content)}", "", ""]
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall("\r\n".join(head).encode() + content)
            yield

    def metric_names(self) -> set[str]:
        return {line.split()[2] for line in self._metrics().splitlines() if line.startswith("# TYPE ")}

    def metric(self, name: str) -> float:
        """The sum over all label sets; 0 when the engine has not counted anything yet."""
        return sum(float(sample["value"]) for sample in SAMPLE.finditer(self._metrics()) if sample["name"] == name)

    def _metrics(self) -> str:
        return self.client.get(self.metrics_url).raise_for_status().text


def loopback_client() -> httpx.Client:
    """Made once: setting up TLS, which nothing here uses, takes as long as a short answer."""
    return httpx.Client(timeout=PATIENCE_S, trust_env=False, verify=False)


def chat_body(prompt: str, **options: Any) -> JsonObject:
    """A chat request with one message; greedy, unless the options say otherwise."""
    return {"messages": [{"role": "user", "content": prompt}], "temperature": 0, "max_tokens": 48, **options}


def events(lines: Iterator[str]) -> Iterator[JsonObject]:
    """The JSON of each `data:` line up to `[DONE]`."""
    for line in lines:
        if line == "data: [DONE]":
            return
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))
    raise AssertionError("the stream ended without [DONE]")


def until(condition: Callable[[], bool], what: str) -> None:
    """Ask again and again, up to the limit of patience."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"never came: {what}"
        time.sleep(0.01)
