"""The parts of a worker are put together here and nowhere else; the first failure of the engine ends it."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from fairlead.engine.openvino.grammar import AnswerGrammar, GrammarCheck
from fairlead.engine.openvino.metrics import Metrics
from fairlead.engine.openvino.model_files import ModelFiles
from fairlead.engine.openvino.scheduler import Limits, Scheduler
from fairlead.engine.openvino.server import application
from fairlead.engine.openvino.serving import Served
from fairlead.engine.openvino.settings import Settings
from fairlead.engine.openvino.stepper import Stepper, Stop, Update
from fairlead.errors import EXIT_FAILED, EXIT_OK

GRACE_S = 5  # how long running answers may take after SIGTERM
KEEP_ALIVE_S = 120  # above the gateway's own, so that it never writes into a connection that we are closing
log = logging.getLogger("fairlead.engine.openvino")


class Worker:
    """A loaded pipeline behind its server. `run()` returns the exit status."""

    def __init__(self, settings: Settings, files: ModelFiles, pipeline: Any, limits: Limits, context: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._failure = ""
        metrics = Metrics(settings.names[0])
        self._stepper = Stepper(pipeline, self._deliver, self._failed)
        self._scheduler = Scheduler(limits, self._stepper.send, metrics, time.monotonic)
        metrics.watch(self._scheduler)
        served = Served(
            names=settings.names,
            max_model_len=context,
            codec=files.codec,
            end_ids=files.end_ids,
            defaults=files.defaults,
            grammar=GrammarCheck(lambda: _canary(files)),
            scheduler=self._scheduler,
            loaded_at=int(time.time()),
        )
        self._server = _server(application(served, metrics, self._healthy), settings)

    async def run(self) -> int:
        """Serve until SIGTERM, SIGINT or a failure of the engine."""
        self._stepper.start()
        _end_quietly()
        await self._server.serve()
        self._stepper.send(Stop())
        self._stepper.join(1.0)
        if self._failure:
            log.error("engine failed: %s", self._failure)
            return EXIT_FAILED
        return EXIT_OK

    def _healthy(self) -> bool:
        return self._stepper.alive() and not self._failure

    def _deliver(self, updates: list[Update], kv_usage: float) -> None:
        self._in_loop(lambda: self._scheduler.receive(updates, kv_usage))

    def _failed(self, error: BaseException) -> None:
        self._in_loop(lambda: self._give_up(error))

    def _give_up(self, error: BaseException) -> None:
        lines = str(error).strip().splitlines()
        self._failure = lines[-1] if lines else repr(error)
        self._scheduler.fail("The engine has failed and restarts.")
        self._server.should_exit = True

    def _in_loop(self, call: Callable[[], None]) -> None:
        """From the stepping thread; at the very end of the process there may be no loop left to tell."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _server(app: Any, settings: Settings) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http="httptools",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def _canary(files: ModelFiles) -> Callable[[AnswerGrammar], None]:
    from fairlead.engine.openvino.canary import open_canary

    return open_canary(files.codec.table, min(files.end_ids))


def _end_quietly() -> None:
    """uvicorn raises a caught signal again when it is done; that must not undo the clean exit status."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
