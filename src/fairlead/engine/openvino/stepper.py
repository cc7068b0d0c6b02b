"""One thread owns the pipeline: it takes commands, steps while there is work, and hands results to the event loop.

While it steps, the pipeline's threads have every core, and the event loop that was just woken gets none for some
milliseconds. So behind a first token the loop is let in before the next step: on two cores the median TTFT is about
half (`make bench-batch`, alone_p50). Behind every token it would cost throughput as well.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fairlead.engine.openvino.openvino_api import token_tensor


@dataclass(frozen=True, slots=True)
class Add:
    id: int
    prompt: Sequence[int]
    config: Any  # openvino_genai.GenerationConfig


@dataclass(frozen=True, slots=True)
class Cancel:
    id: int


@dataclass(frozen=True, slots=True)
class Stop:
    pass


@dataclass(frozen=True, slots=True)
class Update:
    """What one sequence produced in one step. `finish`: None, stop, length, cancelled or error."""

    id: int
    tokens: Sequence[int]
    logprobs: Sequence[float]
    finish: str | None
    error: str = ""


class Stepper:
    """Runs the pipeline. `deliver(updates, kv_usage)` and `failed(error)` are called in its thread."""

    def __init__(
        self, pipeline: Any, deliver: Callable[[list[Update], float], None], failed: Callable[[BaseException], None]
    ) -> None:
        self._pipeline = pipeline
        self._deliver = deliver
        self._failed = failed
        self._inbox: queue.SimpleQueue[Add | Cancel | Stop] = queue.SimpleQueue()
        self._handles: dict[int, Any] = {}
        self._silent: set[int] = set()  # those that have no token yet
        self._thread = threading.Thread(target=self._run, name="stepper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def send(self, command: Add | Cancel | Stop) -> None:
        self._inbox.put(command)

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            while self._obey():
                if self._pipeline.has_non_finished_requests():
                    self._pipeline.step()
                    updates = [u for i, h in list(self._handles.items()) if (u := self._read(i, h))]
                    self._deliver(updates, self._pipeline.get_metrics().cache_usage / 100)
                    self._let_first_tokens_out(updates)
        except BaseException as error:  # noqa: BLE001 - whatever it was, the process has to say so and end
            self._failed(error)

    def _let_first_tokens_out(self, updates: Sequence[Update]) -> None:
        first = self._silent.intersection(update.id for update in updates)
        if first:
            self._silent -= first
            time.sleep(0)  # lets go of the interpreter and of the core

    def _obey(self) -> bool:
        """Carry out the waiting commands, or wait for one when there is nothing to do. False: end."""
        block = not self._pipeline.has_non_finished_requests()
        while True:
            try:
                command = self._inbox.get(block=block)
            except queue.Empty:
                return True
            block = False
            if isinstance(command, Stop):
                return False
            if isinstance(command, Cancel):
                self._cancel(command.id)
            else:
                self._add(command)

    def _add(self, command: Add) -> None:
        try:
            handle = self._pipeline.add_request(command.id, token_tensor(command.prompt), command.config)
        except RuntimeError as error:  # refused before it joined the batch: only this request is lost
            self._deliver([Update(command.id, (), (), "error", str(error).strip().splitlines()[-1])], -1.0)
            return
        self._handles[command.id] = handle
        self._silent.add(command.id)

    def _cancel(self, id: int) -> None:
        handle = self._handles.pop(id, None)
        self._silent.discard(id)
        if handle is not None:
            handle.cancel()
            self._deliver([Update(id, (), (), "cancelled")], -1.0)

    def _read(self, id: int, handle: Any) -> Update | None:
        tokens: list[int] = []
        logprobs: list[float] = []
        reason = "NONE"
        while handle.can_read():
            for output in handle.read().values():
                tokens += output.generated_ids
                logprobs += output.generated_log_probs
                reason = output.finish_reason.name
        status = handle.get_status().name
        if status == "RUNNING":
            return Update(id, tokens, logprobs, None) if tokens else None
        del self._handles[id]
        if status == "FINISHED":
            return Update(id, tokens, logprobs, "length" if reason == "LENGTH" else "stop")
        return Update(id, tokens, logprobs, "error", "the KV cache is exhausted")
