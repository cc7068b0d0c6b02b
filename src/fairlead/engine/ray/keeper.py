"""What has been declared is deployed, and stays so: a head that was lost is told again what it has to serve.

One thread asks the dashboard once a second; the pages of `pages.py` tell what it found. The first deployment must
succeed; from then on Ray mends what breaks (a node's replicas start again elsewhere) and the keeper only watches.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from fairlead.engine.ray import dialect
from fairlead.engine.ray.dashboard import Dashboard
from fairlead.engine.ray.room import shortages
from fairlead.engine.ray.view import HOPELESS, UP, View, others, resources, view
from fairlead.errors import EXIT_FAILED, Problem, UserError

POLL_S = 1.0
METRICS_KEPT_S = 2.5  # longer than the second between two reports: a gauge that was read is gone until then. Also, a
# node's agent needs most of a core for as long as it writes its megabyte, and engines that start wait for that core


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`nodes` is how many a cluster of our own has, 0 where it was joined; the token is in a file or a variable."""

    dashboard: str
    port: int
    app: str
    config: dict[str, Any]
    nodes: int = 0
    token_file: str = ""
    token_env: str = ""


@dataclass
class Keeper:
    """`run` returns when `stopped` says so."""

    settings: Settings
    dashboard: Dashboard
    stopped: Callable[[], bool]
    say: Callable[[str], None]
    served: bool = False  # has been whole at least once
    seen: View = field(default_factory=lambda: View("", "nothing was asked yet"))
    _read: tuple[float, list[str]] = (-math.inf, [])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> None:
        """Deploy, then watch. Raises UserError when the first deployment cannot succeed."""
        self._until_nodes_are_there()
        self._check_room()
        self._deploy()
        while not self.stopped():
            self._look()
            time.sleep(POLL_S)
        if self._is_joined:
            self.dashboard.remove()

    def metrics(self) -> str:
        """The engines' metrics in vLLM's own names. Raises httpx.HTTPError, UserError."""
        return dialect.in_plain_names(self._pages())

    def look(self) -> View:
        """The cluster now, and what waits in it. Raises httpx.HTTPError, UserError."""
        return self._view(dialect.queued(self._pages()))

    @property
    def _is_joined(self) -> bool:
        return not self.settings.nodes

    def _view(self, queued: int = 0) -> View:
        return view(self.settings.app, self.dashboard.nodes(), self.dashboard.serve(), queued)

    def _pages(self) -> list[str]:
        """Every node's metrics, read anew when they are METRICS_KEPT_S old."""
        with self._lock:
            asked, pages = self._read
            if time.monotonic() - asked > METRICS_KEPT_S:
                pages = [self.dashboard.metrics(node) for node in self.dashboard.nodes()]
                self._read = (time.monotonic(), pages)
            return pages

    def _until_nodes_are_there(self) -> None:
        while not self.stopped():
            try:
                if len(self.dashboard.nodes()) >= max(1, self.settings.nodes):
                    return
            except httpx.HTTPError as error:
                self._tell(View("", f"{self.dashboard.url} does not answer: {error or type(error).__name__}"))
            time.sleep(POLL_S)

    def _check_room(self) -> None:
        """A cluster of our own cannot grow; one that was joined may have an autoscaler, so there it is only told."""
        if self.stopped():
            return
        missing = shortages(self.settings.config, [resources(node) for node in self.dashboard.nodes()])
        if missing and not self._is_joined:
            hint = "ask for less (cpus, replicas, tensor_parallel_size), or offer more (ray.nodes, ray.cpus)"
            problems = [Problem(text, subject="models", hint=hint) for text in missing]
            raise UserError(problems=problems, exit_code=EXIT_FAILED)
        for text in missing:
            self.say(f"waits for the cluster to grow: {text}")

    def _deploy(self) -> None:
        if self.stopped():
            return
        strangers = others(self.settings.app, self.dashboard.serve())
        if strangers:
            hint = "Ray's deployment replaces all that a cluster serves: take a cluster of its own"
            names = ", ".join(strangers)
            raise UserError(f"the cluster serves other applications: {names}", hint=hint, exit_code=EXIT_FAILED)
        self.dashboard.deploy(self.settings.config)
        self.say("deployed")

    def _look(self) -> None:
        try:
            seen = self._view()  # without the metrics: they are a megabyte a node
            if seen.state == HOPELESS and not self.served:
                raise UserError(f"Ray cannot start the models: {explained(seen)}", exit_code=EXIT_FAILED)
            if not seen.state or (seen.state == HOPELESS and seen.nodes):
                self._deploy()
        except httpx.HTTPError as error:
            seen = View("", f"the cluster does not answer: {error or type(error).__name__}")
        self.served = self.served or seen.state == UP
        self._tell(seen)

    def _tell(self, seen: View) -> None:
        if (seen.state, explained(seen)) != (self.seen.state, explained(self.seen)):
            self.say(f"{seen.state or 'no application'}: {explained(seen) or 'all is well'}")
        self.seen = seen


def explained(seen: View) -> str:
    """What Ray says about it, the deployments' messages included."""
    told = [seen.message, *(f"{each.name}: {each.message}" for each in seen.deployments if each.message)]
    return "; ".join(text.replace("\n", " ") for text in told if text)


def token(settings: Settings, environ: Mapping[str, str]) -> str:
    """The cluster's token; "" where it needs none. Raises UserError when the variable is not set."""
    if settings.token_file:
        with open(settings.token_file, encoding="ascii") as file:
            return file.read().strip()
    if settings.token_env and not environ.get(settings.token_env):
        raise UserError(f"{settings.token_env} is not set", hint="ray.token_env names it")
    return environ.get(settings.token_env, "") if settings.token_env else ""
