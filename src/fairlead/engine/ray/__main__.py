"""`python -m fairlead.engine.ray SETTINGS.json`: keep what is declared deployed until SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import httpx
import msgspec

from fairlead.engine.ray.dashboard import Dashboard
from fairlead.engine.ray.keeper import Keeper, Settings, token
from fairlead.engine.ray.pages import served
from fairlead.errors import EXIT_FAILED, UserError


def main() -> int:
    """Exit code 0 when told to stop; another one with the reason on standard error."""
    settings = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Settings)
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    try:
        with Dashboard(settings.dashboard, token(settings, os.environ)) as dashboard:
            keeper = Keeper(settings, dashboard, told.is_set, say)
            with served(keeper, settings.port):
                keeper.run()
    except UserError as error:
        say(str(error))
        return error.exit_code
    except httpx.HTTPError as error:
        say(f"{settings.dashboard} does not answer: {error or type(error).__name__}")
        return EXIT_FAILED
    return 0


def say(line: str) -> None:
    """To the log."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
