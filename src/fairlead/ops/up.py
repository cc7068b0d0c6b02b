"""Bring a service up, keep it up, take it down in order: engines behind, the gateway in front."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import httpx

from fairlead.engine.sources.download import Progress
from fairlead.engine.supervisor import Supervisor, WorkerSpec, WorkerStatus
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops import runfile
from fairlead.ops.firstkey import laptop_key
from fairlead.ops.interpreters import check_interpreters
from fairlead.ops.layout import Layout
from fairlead.ops.place import place_for
from fairlead.ops.ray import ray_folder
from fairlead.ops.runfile import Run, Service
from fairlead.ops.workers import admin_url, engines, fetch_models, gateway_workers, public_url
from fairlead.render.gateway import gateway_config, gateway_text
from fairlead.spec.load import load
from fairlead.spec.types import Spec
from fairlead.spec.variables import names_used, with_values
from fairlead.store.stores import Place
from fairlead.variables import masked

READY_TIMEOUT_S = 20.0
READY_POLL_S = 0.05
ENGINE_GRACE_S = 5.0


@dataclass(frozen=True, slots=True)
class Ready:
    """What the user gets. `key` is None where keys are given out by people."""

    url: str
    admin_url: str
    key: str | None
    seconds: float
    authority: Path | None = None  # the certificate of our own authority, where it signed the gateway's
    model: str = ""  # one of the service's


@dataclass(frozen=True, slots=True)
class Observer:
    """Whom to tell what happens. Called on the event loop; must not block."""

    progress: Progress = lambda name, done, total: None
    service: Callable[[WorkerStatus], None] = lambda status: None
    ready: Callable[[Ready], None] = lambda ready: None
    stopping: Callable[[], None] = lambda: None


@dataclass
class Up:
    """One running `up`. `run` returns when it was told to stop and all is down."""

    layout: Layout
    spec: Spec  # as it was written: what is compiled and shown
    resolved: Spec  # with the values of its variables: what the engines are started by
    place: Place  # of the keys and the ledger
    overlay: str | None
    engine: Literal["ray"] | None
    observer: Observer
    began: float = field(default_factory=time.monotonic)
    hide: Callable[[str], str] = lambda text: text  # takes the values of variables out of what is written
    started_at: float = field(default_factory=time.time)
    engines: Supervisor = field(default_factory=Supervisor)
    gateway: Supervisor = field(default_factory=Supervisor)
    state: runfile.State = "starting"

    async def run(self) -> None:
        """From nothing to ready, and back at SIGTERM or Ctrl-C. Raises UserError when a start fails."""
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        self.write()
        folders = await asyncio.to_thread(fetch_models, self.resolved, self.layout, self.observer.progress)
        plan = engines(self.resolved, self.layout, folders)
        config = gateway_config(self.spec, state_dir=self.layout.state, upstreams=plan.upstreams)
        runfile.replace(self.layout.gateway_json, gateway_text(config).encode())
        key = laptop_key(self.spec, self.place, self.layout)
        stopped = asyncio.create_task(told.wait())
        try:
            starting = asyncio.create_task(self._start(plan.workers))
            await asyncio.wait({starting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                starting.cancel()
                await asyncio.wait({starting})
                return
            starting.result()
            self._become("ready")
            elapsed = time.monotonic() - self.began
            authority = self.layout.authority if self.spec.gateway.tls and self.spec.gateway.tls.self_signed else None
            model = next(iter(self.spec.models))
            self.observer.ready(Ready(public_url(self.spec), admin_url(self.spec), key, elapsed, authority, model))
            await self._until(stopped)
        finally:
            stopped.cancel()
            self.observer.stopping()
            self._become("stopping")
            await self.gateway.stop(grace_s=self.spec.gateway.drain_timeout + 1.0)
            await self.engines.stop(grace_s=ENGINE_GRACE_S)

    async def _start(self, workers: Sequence[WorkerSpec]) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.engines.start(workers, self._changed))
            tasks.create_task(self.gateway.start(gateway_workers(self.spec, self.layout), self._changed))
        for number in range(self.spec.gateway.replicas):
            await until_ready(admin_url(self.spec, number))

    async def _until(self, stopped: asyncio.Task[bool]) -> None:
        """Until told to stop, or until a supervisor gives up."""
        supervisors = [each for each in (self.engines, self.gateway) if each.snapshot()]  # all models may be remote
        watched = {asyncio.create_task(each.wait()) for each in supervisors}
        try:
            done, _ = await asyncio.wait({stopped, *watched}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in watched:
                task.cancel()

    def _changed(self, status: WorkerStatus) -> None:
        self.observer.service(status)
        self.write()

    def _become(self, state: runfile.State) -> None:
        self.state = state
        self.write()

    def write(self, error: str = "") -> None:
        """Tell run.json."""
        services = [*self.engines.snapshot(), *self.gateway.snapshot()]
        runfile.write(
            self.layout,
            Run(
                pid=os.getpid(),
                state="failed" if error else self.state,
                name=self.spec.name,
                environment=self.spec.environment,
                url=public_url(self.spec),
                admin_url=admin_url(self.spec),
                started_at=self.started_at,
                services=tuple(service(status, self.hide) for status in services),
                overlay=self.overlay,
                engine=self.engine,
                error=error,
                models=tuple(self.spec.models),
            ),
        )


def up(
    file: Path,
    environment: str | None,
    observer: Observer,
    environ: Mapping[str, str],
    engine: Literal["ray"] | None = None,
) -> None:
    """Run the service that `file` declares until told to stop, its models on `engine` if one is named.

    Raises UserError.
    """
    spec = load(file, environment, environ=environ, engine=engine)
    layout = Layout.beside(file)
    check_interpreters(spec, layout.file.parent)
    place = place_for(spec, layout, environ)
    layout.make()
    with runfile.held(layout):
        hide = partial(masked, names=names_used(spec), environ=environ)
        resolved = with_values(spec, environ)
        running = Up(layout, spec, resolved, place, environment, engine, observer, hide=hide)
        try:
            asyncio.run(running.run())
        except (UserError, BaseExceptionGroup) as raised:
            error = hidden(user_error(raised), hide)
            running.write(str(error))
            raise error from None
        layout.run_json.unlink(missing_ok=True)
        shutil.rmtree(ray_folder(layout), ignore_errors=True)


def user_error(raised: UserError | BaseExceptionGroup[BaseException]) -> UserError:
    """What the user is told. Anything in a group that is no user error is our own bug and is raised again."""
    if isinstance(raised, UserError):
        return raised
    told, other = raised.split(UserError)
    if other is not None or told is None:
        raise raised
    return UserError(problems=[problem for error in leaves(told) for problem in error.problems], exit_code=EXIT_FAILED)


def leaves(group: BaseExceptionGroup[UserError]) -> Iterator[UserError]:
    """The errors in a group, however deep."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def hidden(error: UserError, hide: Callable[[str], str]) -> UserError:
    """The error without the values of variables."""
    problems = [
        replace(problem, message=hide(problem.message), where=hide(problem.where), hint=hide(problem.hint))
        for problem in error.problems
    ]
    return UserError(problems=problems, exit_code=error.exit_code)


def service(status: WorkerStatus, hide: Callable[[str], str]) -> Service:
    """A worker as run.json shows it."""
    return Service(
        name=status.name,
        state=status.state,
        url=status.url,
        pid=status.pid,
        restarts=status.restarts,
        ready_s=status.ready_s,
        last_error=hide(status.last_error),
    )


async def until_ready(admin: str) -> None:
    """Wait until the gateway has found its engines. Raises UserError with what it still lacks."""
    reasons: list[str] = []
    async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
        for _ in range(int(READY_TIMEOUT_S / READY_POLL_S)):
            answer = await client.get(f"{admin}/readyz")
            reasons = answer.json()["reasons"]
            if answer.status_code == 200:
                return
            await asyncio.sleep(READY_POLL_S)
    raise UserError(f"the gateway is not ready: {'; '.join(reasons)}", exit_code=EXIT_FAILED)
