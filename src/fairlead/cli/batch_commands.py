"""`batch`: many rows from a file, each answered once, whatever dies meanwhile."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from fairlead.batch import job
from fairlead.batch.cost import charge_by, currency
from fairlead.batch.engines import Engine
from fairlead.batch.job import Report
from fairlead.cli.arguments import duration
from fairlead.cli.show import console
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.ops.client import own_key, running, trusted
from fairlead.ops.layout import Layout
from fairlead.spec.consumption import NANO
from fairlead.spec.load import load
from fairlead.spec.types import Spec

app = typer.Typer(help="Rows of a file, answered one by one: run.", no_args_is_help=True)


@app.command()
def run(
    source: Annotated[
        str, typer.Argument(metavar="IN", help="Rows: .jsonl or .parquet; here, or s3://, gs://, az://.")
    ],
    output: Annotated[
        str, typer.Argument(metavar="OUT", help="Results: .jsonl or .parquet; here, or s3:// and so on.")
    ],
    engine: Annotated[
        Literal["http", "ray"], typer.Option(help="http: through the gateway. ray: by Ray Data, past its limits.")
    ] = "http",
    url: Annotated[str, typer.Option(help="The gateway. Default: that of the running service.")] = "",
    key: Annotated[str, typer.Option(envvar="FAIRLEAD_API_KEY", help="An API key; on a laptop `up` made one.")] = "",
    concurrency: Annotated[int, typer.Option(min=1, max=4096, help="Requests at once.")] = 64,
    timeout: Annotated[str, typer.Option(help="Time for one answer.")] = "10m",
    file: Annotated[Path, typer.Option("--file", "-f", help="The service's file.")] = Path("fairlead.yaml"),
    certificate: Annotated[
        Path | None,
        typer.Option(help="PEM file with a certificate and its key, where the gateway asks callers for one."),
    ] = None,
    tenant: Annotated[str, typer.Option(help="Who is billed for the rows of --engine ray.")] = "local",
    model: Annotated[str, typer.Option(help="Rows for another model are errors. Default: each row says its own.")] = "",
    cluster: Annotated[
        Path | None, typer.Option(help="By Ray Data, with these models, on the Ray that it runs on; see docs/batch.md.")
    ] = None,
    unattended: Annotated[bool, typer.Option("--unattended", help="For jobs: an output that is there is 0.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Answer every row of IN once; killed, the same command goes on. Rows without an answer are in OUT's .errors.jsonl.

    Exit code 0 when every row has an answer, 1 when some have an error.

    Example: fairlead batch run questions.jsonl answers.jsonl --concurrency 32
    """
    if unattended and job.finished(output, os.environ):
        typer.echo(f"nothing to do: {output} is there already", err=as_json)
        return
    spec = load(file, environ=os.environ) if file.exists() else None
    charge = charge_by(spec) if spec else no_charge
    if engine == "ray" or cluster:
        work = ray_job(file, cluster, source, output, charge, tenant)
    else:
        timeout_s = duration("--timeout", timeout)
        answers = http_engine(file, url, key, certificate, concurrency=concurrency, timeout_s=timeout_s)
        work = job.Job(source, output, answers, os.environ, charge)
    with Bar() as shown:
        report = replace(work, tell=shown.tell, model=model).run()
    show(report, spec, as_json=as_json)
    if report.errors and not unattended:
        raise typer.Exit(EXIT_FAILED)


def http_engine(
    file: Path, url: str, key: str, certificate: Path | None, *, concurrency: int, timeout_s: float
) -> Engine:
    """The gateway that is named, or the one that runs. Raises UserError."""
    from fairlead.batch.http_connection import Address
    from fairlead.batch.http_engine import HttpEngine

    layout = Layout.beside(file)
    if url and not url.startswith(("http://", "https://")):
        raise UserError(f"--url: {url[:60]!r} is no base URL", hint="for example http://127.0.0.1:8080")
    address = Address.of(url or running(layout).url, trusted(layout, certificate))
    return HttpEngine(address, own_key(layout, key), concurrency, timeout_s)


def ray_job(file: Path, cluster: Path | None, source: str, output: str, charge: job.Charge, tenant: str) -> job.Job:
    """By Ray Data: on the cluster of the service that runs, and into its ledger; or on one that is `cluster`'s alone,
    and into none. Raises UserError.
    """
    from fairlead.batch.billing import Bill
    from fairlead.ops.ray_batch import on_own_cluster, ray_data

    if cluster:
        return job.Job(source, output, on_own_cluster(cluster, os.environ), os.environ, charge)
    layout = Layout.beside(file)
    engine = ray_data(layout)
    bill = Bill(layout.journal, tenant, engine.models, charge)
    return job.Job(source, output, engine, os.environ, charge, bill=bill)


def no_charge(model: str, used: object) -> int:
    """Where there is no file, there are no prices."""
    return 0


class Bar:
    """The progress bar of a run: rows, tokens a second, time left. Where nobody watches, nothing is shown."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[pace]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        shown = console(stderr=True)
        self._progress = Progress(*columns, console=shown, disable=not shown.is_terminal)
        self._task = self._progress.add_task("rows", total=None, pace="")

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._progress.stop()

    def tell(self, progress: job.Progress) -> None:
        """Show how far it is."""
        elapsed = self._progress.tasks[0].elapsed or 0.0
        pace = f"{progress.tokens.completion / elapsed:,.0f} tokens/s" if elapsed else ""
        done = progress.resumed + progress.answered
        self._progress.update(self._task, total=progress.rows, completed=done, pace=pace)


def show(report: Report, spec: Spec | None, *, as_json: bool) -> None:
    """The report: a few lines, or JSON."""
    unit = currency(spec) if spec else ""
    if as_json:
        told: Mapping[str, object] = {
            **asdict(report),
            "rows_per_s": report.rows_per_s,
            "tokens_per_s": report.tokens_per_s,
            "currency": unit,
        }
        typer.echo(json.dumps(told))
        return
    resumed = f", {report.resumed} of them by earlier runs" if report.resumed else ""
    typer.echo(f"{report.rows} rows{resumed}: {report.good} answered now, {report.failed} with an error")
    pace = f"{report.rows_per_s:,.1f} rows/s, {report.tokens_per_s:,.0f} tokens/s"
    tokens = f"{report.prompt_tokens:,} tokens of prompts, {report.completion_tokens:,} of answers"
    typer.echo(f"{report.seconds:,.1f} s: {pace}; {tokens}")
    if unit:
        typer.echo(f"cost {report.cost_nano / NANO:,.6f} {unit}")
    typer.echo(f"output {report.output}")
    if report.errors:
        typer.echo(f"errors {report.errors}")
