"""A worker that should run does run, or somebody is told why not: start, watch, restart with back-off, stop.

One task per worker, all in one group that the supervisor owns; `start` begins it and `stop` ends it. The first start
must succeed (a wrong flag is told at once, with the log); every later failure is a restart.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from fairlead.engine.process import Reaper, end_group, exited_within, log_tail, spawn
from fairlead.engine.restart import NEXT, Event, RestartPolicy, State, failures_after, wait_s
from fairlead.errors import EXIT_FAILED, Problem, UserError


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One process to keep running. `env` is added to the supervisor's own environment."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    url: str
    health_path: str
    log: Path
    start_timeout_s: float


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """`ready_s` is how long the last start took; `restarts` counts starts after the first.

    `retry_in_s` is the whole wait of a worker that is backing off, not what is left of it.
    """

    name: str
    url: str
    state: State = "starting"
    pid: int | None = None
    restarts: int = 0
    ready_s: float | None = None
    retry_in_s: float | None = None
    last_error: str = ""


OnChange = Callable[[WorkerStatus], None]


@dataclass
class Supervisor:
    """Keeps the workers of `start` running until `stop`. Clock and chance come from outside."""

    policy: RestartPolicy = field(default_factory=RestartPolicy)
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _workers: list[_Worker] = field(default_factory=list, init=False)
    _running: asyncio.Task[None] | None = field(default=None, init=False)

    async def start(self, specs: Sequence[WorkerSpec], on_change: OnChange | None = None) -> None:
        """Return when all are healthy. Raises UserError with the log's tail when one does not become so."""
        if self._running:
            raise RuntimeError("this supervisor has been started before")
        self._workers = [_Worker(spec, on_change or _ignore, self) for spec in specs]
        self._running = asyncio.create_task(self._keep_all(), name="supervisor")
        try:
            await self._all_ready()
        except BaseException:
            await self.stop(grace_s=self.policy.kill_after_s)
            raise

    async def stop(self, grace_s: float) -> None:
        """End every worker: SIGTERM, up to `grace_s`, SIGKILL. Returns when no process is left."""
        for worker in self._workers:
            worker.begin_stop(grace_s)
        if self._running and not self._running.done():
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def wait(self) -> None:
        """Until `stop`; raises what ended the supervision otherwise. The owner awaits this beside its own work."""
        if self._running:
            await asyncio.wait({self._running})
            if not self._running.cancelled():
                self._running.result()

    def snapshot(self) -> list[WorkerStatus]:
        """Every worker as it is now, in the order of `start`."""
        return [worker.status for worker in self._workers]

    async def _all_ready(self) -> None:
        if not self._running:
            raise RuntimeError("not started")
        ready = asyncio.create_task(self._every_first_start())
        both: set[asyncio.Task[None]] = {self._running, ready}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                self._running.result()
        except BaseExceptionGroup as group:
            told, other = group.split(UserError)
            if other or not told:
                raise
            problems = [problem for error in _leaves(told) for problem in error.problems]
            raise UserError(problems=problems, exit_code=EXIT_FAILED) from None
        finally:
            ready.cancel()

    async def _every_first_start(self) -> None:
        for worker in self._workers:
            await worker.ready.wait()

    async def _keep_all(self) -> None:
        limits = httpx.Limits(max_keepalive_connections=0)  # a kept connection would hide that the listener is gone
        with Reaper() as reaper:
            async with (
                httpx.AsyncClient(limits=limits, trust_env=False, timeout=self.policy.health_timeout_s) as client,
                asyncio.TaskGroup() as group,
            ):
                for worker in self._workers:
                    group.create_task(worker.keep(client, reaper), name=worker.spec.name)


class _Worker:
    """The life of one worker: `keep` returns only by cancellation, or by the failure of the very first start."""

    def __init__(self, spec: WorkerSpec, on_change: OnChange, owner: Supervisor) -> None:
        self.spec = spec
        self.owner = owner
        self.policy = owner.policy
        self.on_change = on_change
        self.status = WorkerStatus(spec.name, spec.url)
        self.ready = asyncio.Event()
        self.grace_s = owner.policy.kill_after_s

    async def keep(self, client: httpx.AsyncClient, reaper: Reaper) -> None:
        failures = 0
        try:
            while True:
                ready_for_s = await self._run_once(client, reaper)
                if not self.ready.is_set():
                    raise self._first_start_failed()
                failures = failures_after(failures, ready_for_s, self.policy)
                seconds = wait_s(failures, self.owner.chance(), self.policy)
                self._update(retry_in_s=seconds)
                await asyncio.sleep(seconds)
                self._step("due", restarts=self.status.restarts + 1, retry_in_s=None)
        finally:
            self._step("gone", pid=None)

    def begin_stop(self, grace_s: float) -> None:
        """Said before the cancellation, so that whoever looks sees it stopping."""
        self.grace_s = grace_s
        if self.status.state != "stopped":
            self._step("stop")

    async def _run_once(self, client: httpx.AsyncClient, reaper: Reaper) -> float:
        """From one start to its end; return for how many seconds it was ready."""
        log_start = self.spec.log.stat().st_size if self.spec.log.exists() else 0
        try:
            process = await spawn(self.spec.argv, env={**self.owner.environ, **self.spec.env}, log=self.spec.log)
        except UserError as error:
            self._step("exited", last_error=error.problems[0].text())
            return 0.0
        reaper.watch(process.pid)
        self._update(pid=process.pid)
        try:
            return await self._serve(client, process, log_start=log_start)
        finally:
            await end_group(process, grace_s=self.grace_s)
            reaper.forget(process.pid)
            self._update(pid=None)

    async def _serve(self, client: httpx.AsyncClient, process: asyncio.subprocess.Process, *, log_start: int) -> float:
        began = self.owner.clock()
        event = await self._until_started(client, process, deadline=began + self.spec.start_timeout_s)
        now = self.owner.clock()
        if event == "healthy":
            self._step("healthy", ready_s=now - began, last_error="")
            self.ready.set()
            event = await self._until_failed(client, process)
        ready_for_s = self.owner.clock() - now if self.status.state == "ready" else 0.0
        self._step(event, last_error=self._why(event, process, log_start=log_start))
        return ready_for_s

    async def _until_started(
        self, client: httpx.AsyncClient, process: asyncio.subprocess.Process, *, deadline: float
    ) -> Event:
        while self.owner.clock() < deadline:
            if await self._healthy(client):
                return "healthy"
            if await exited_within(process, self.policy.poll_s):
                return "exited"
        return "timed-out"

    async def _until_failed(self, client: httpx.AsyncClient, process: asyncio.subprocess.Process) -> Event:
        failures = 0
        while failures < self.policy.health_failures:
            if await exited_within(process, self.policy.health_interval_s):
                return "exited"
            failures = 0 if await self._healthy(client) else failures + 1
        return "unhealthy"

    async def _healthy(self, client: httpx.AsyncClient) -> bool:
        try:
            response = await client.get(self.spec.url.rstrip("/") + self.spec.health_path)
        except httpx.HTTPError:
            return False
        return response.status_code == 200

    def _why(self, event: Event, process: asyncio.subprocess.Process, *, log_start: int) -> str:
        what = {
            "exited": f"exited with {exit_text(process.returncode)}",
            "timed-out": f"was not healthy after {self.spec.start_timeout_s:g} s",
            "unhealthy": f"did not answer {self.policy.health_failures} health checks in a row",
        }[event]
        tail = log_tail(self.spec.log, start=log_start)
        return f"{what}; the end of {self.spec.log}:\n{tail}" if tail else f"{what}; {self.spec.log} is empty"

    def _first_start_failed(self) -> UserError:
        problem = Problem(
            self.status.last_error, subject=self.spec.name, hint="the log says what the engine did not like"
        )
        return UserError(problems=[problem], exit_code=EXIT_FAILED)

    def _step(self, event: Event, **changes: object) -> None:
        self._update(state=NEXT[self.status.state, event], **changes)

    def _update(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]  # field names are checked by replace
        self.on_change(self.status)


def exit_text(returncode: int | None) -> str:
    """`code 1`, or the signal by its name: `SIGKILL`."""
    if returncode is not None and returncode < 0:
        return signal.Signals(-returncode).name
    return f"code {returncode}"


def _leaves(group: BaseExceptionGroup[UserError]) -> Iterator[UserError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _ignore(status: WorkerStatus) -> None:
    """The listener of one who does not listen."""
