"""`up`, `down`, `status`, `logs`: a service on this machine."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from fairlead import __version__
from fairlead.cli.ray_tables import ray_tables
from fairlead.cli.show import console, table
from fairlead.engine.supervisor import WorkerStatus
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops import runfile
from fairlead.ops.client import admin_page, ray_page, running
from fairlead.ops.detach import down as end
from fairlead.ops.detach import up_detached
from fairlead.ops.layout import Layout
from fairlead.ops.runfile import Run
from fairlead.ops.tail import follow, last_lines
from fairlead.ops.up import Observer, Ready
from fairlead.ops.up import up as run_up

File = Annotated[Path, typer.Argument(help="The service's file.")]
Environment = Annotated[
    str | None, typer.Option("-e", "--environment", help="Merge this environment of the file's `environments:`.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_FILE = Path("fairlead.yaml")


def up(
    file: File = DEFAULT_FILE,
    environment: Environment = None,
    engine: Annotated[
        Literal["ray"] | None, typer.Option(help="Run the models on this engine, whatever the file names.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return when it is ready; `down` ends it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Start the engines and the gateway; Ctrl-C drains and stops all.

    Example: fairlead up --detach --json
    """
    if detach:
        began = time.monotonic()
        with spinner("starting", quiet=as_json):
            run = up_detached(file, environment, lambda run: None, engine)
        layout = Layout.beside(file)
        key = layout.laptop_key.read_text().strip() if layout.laptop_key.exists() else None
        authority = layout.authority if run.url.startswith("https:") and layout.authority.exists() else None
        elapsed = time.monotonic() - began
        tell_ready(Ready(run.url, run.admin_url, key, elapsed, authority, next(iter(run.models), "")), as_json=as_json)
        return
    with Screen(quiet=as_json) as screen:
        run_up(file, environment, screen.observer(), os.environ, engine)


def down(file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Let running requests finish, then stop everything.

    Example: fairlead down
    """
    with spinner("draining", quiet=as_json):
        run = end(Layout.beside(file), lambda: None)
    typer.echo(json.dumps({"stopped": run.name}) if as_json else f"{run.name} is down")


def status(file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """Show what runs. Exit code 0 when the service is ready, else 1.

    Example: fairlead status --json
    """
    layout = Layout.beside(file)
    last = runfile.read(layout)
    if not runfile.is_running(layout):
        failure = last.error if last is not None and last.state == "failed" else ""
        if as_json:
            typer.echo(json.dumps({"state": "failed" if failure else "down", "error": failure}))
            raise typer.Exit(EXIT_FAILED)
        raise UserError(f"the service is down{': ' + failure if failure else ''}", exit_code=EXIT_FAILED)
    run = running(layout)
    page = admin_page(run, "/status") if run.state == "ready" else {}
    if as_json:
        ray = ray_page(run)
        more = {"ray": msgspec.to_builtins(ray)} if ray else {}
        typer.echo(json.dumps({**msgspec.to_builtins(run), "gateway": page, **more}))
    else:
        console().print(status_table(run), f"{page.get('requests', 0)} requests, {page.get('connections', 0)} open")
        if ray := ray_page(run):
            console().print(*ray_tables(ray))
    if not page.get("ready"):
        raise typer.Exit(EXIT_FAILED)


def logs(
    process: Annotated[str, typer.Argument(help="gateway, or a replica such as demo-0; all when left out.")] = "",
    file: Annotated[Path, typer.Option("--file", "-f", help="The service's file.")] = DEFAULT_FILE,
    lines: Annotated[int, typer.Option("--lines", "-n", help="Lines from the end.")] = 20,
    follow_on: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
) -> None:
    """Print the logs of the gateway and the engines. They never hold prompts or answers.

    Example: fairlead logs gateway -n 50 --follow
    """
    folder = Layout.beside(file).logs
    names = sorted(path.stem for path in folder.glob("*.log"))
    wanted = [process] if process else names
    if not set(wanted) <= set(names):
        raise UserError(f"no log of {process!r}", hint=f"there are: {', '.join(names) or 'none yet'}")
    paths = [folder / f"{name}.log" for name in wanted]
    for path in paths:
        for line in last_lines(path, lines):
            typer.echo(line if process else f"{path.stem}: {line}")
    if follow_on:
        try:
            for name, line in follow(paths, time.sleep):
                typer.echo(line if process else f"{name}: {line}")
        except KeyboardInterrupt:
            return


class Screen:
    """What `up` shows: downloads as bars, each process as it becomes ready, then the URL, the key and a curl line."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(highlight=False)
        self._states: dict[str, str] = {}
        self._bars: Progress | None = None
        self._tasks: dict[str, int] = {}
        self._lock = threading.Lock()  # downloads report from another thread

    def __enter__(self) -> Screen:
        if not self._quiet:
            self._console.print(f"[bold]fairlead {__version__}[/bold]")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_bars()

    def observer(self) -> Observer:
        """The callbacks for `up`."""
        return Observer(self._progress, self._service, self._ready, self._stopping)

    def _progress(self, name: str, done: int, total: int) -> None:
        if self._quiet:
            return
        with self._lock:
            if self._bars is None:
                columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
                self._bars = Progress(*columns, console=self._console)
                self._bars.start()
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, total=total)
            self._bars.update(self._tasks[name], completed=done)  # type: ignore[arg-type]

    def _stop_bars(self) -> None:
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None

    def _service(self, status: WorkerStatus) -> None:
        self._stop_bars()
        if self._quiet or self._states.get(status.name) == status.state:
            return
        self._states[status.name] = status.state
        if status.state == "ready":
            self._console.print(f"  [green]ready[/green]    {status.name:<16} {status.ready_s or 0:.1f} s")
        elif status.state == "starting" and not status.restarts:
            self._console.print(f"  starting {status.name}")
        elif status.state == "backing-off":
            self._console.print(f"  [yellow]restarts[/yellow] {status.name}: {status.last_error}")

    def _ready(self, ready: Ready) -> None:
        tell_ready(ready, as_json=self._quiet)
        if not self._quiet:
            self._console.print("\nCtrl-C drains and stops all.")

    def _stopping(self) -> None:
        if not self._quiet:
            self._console.print("\nstopping: running requests may finish")


def tell_ready(ready: Ready, *, as_json: bool) -> None:
    """The URL, the key, and a curl line that works when pasted."""
    if as_json:
        shown = {"url": ready.url, "admin_url": ready.admin_url, "key": ready.key}
        typer.echo(json.dumps({**shown, **({"ca": str(ready.authority)} if ready.authority else {})}))
        return
    screen = Console(highlight=False, soft_wrap=True)
    key = ready.key or "$FAIRLEAD_API_KEY"
    screen.print(f"\n[bold]Ready in {ready.seconds:.1f} s[/bold]\n")
    screen.print(f"  URL      {ready.url}/v1")
    screen.print(f"  key      {ready.key or 'make one: fairlead keys create --tenant NAME --role ROLE'}")
    if ready.authority:
        screen.print(f"  CA       {ready.authority}")
    screen.print(f"  metrics  {ready.admin_url}/metrics\n")
    body = json.dumps({"model": ready.model, "messages": [{"role": "user", "content": "What is Fairlead?"}]})
    trust = f"--cacert {ready.authority} " if ready.authority else ""
    # printed raw: a wrapped or coloured line would not work when pasted
    typer.echo(
        f"curl {trust}{ready.url}/v1/chat/completions -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )


def status_table(run: Run) -> Table:
    """Every process of the service."""
    columns = ("process", "state", "pid", "restarts", "started in", "url")
    shown = table(columns, title=f"{run.name} ({run.environment}) is {run.state} at {run.url}", numbers=columns[2:5])
    for service in run.services:
        seconds = f"{service.ready_s:.1f} s" if service.ready_s is not None else ""
        shown.add_row(service.name, service.state, str(service.pid or ""), str(service.restarts), seconds, service.url)
    return shown


@contextmanager
def spinner(text: str, *, quiet: bool) -> Iterator[None]:
    """A spinner on a terminal, nothing elsewhere."""
    screen = Console(stderr=True)
    if quiet or not screen.is_terminal:
        yield
        return
    with screen.status(text):
        yield
