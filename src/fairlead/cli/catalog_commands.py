"""`catalog list|show`: the facts that plans are made of, with source and date."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from fairlead.catalog.accelerators import Accelerator, accelerator, accelerators
from fairlead.catalog.engines import engine, engines
from fairlead.catalog.instances import Instance, instance, instances
from fairlead.catalog.models import ModelShape, model, models
from fairlead.catalog.quantizations import quantization, quantizations
from fairlead.cli.show import console, table
from fairlead.errors import UserError

app = typer.Typer(help="Accelerators, instances, models, quantisations and engines that plans are made of.")
KINDS: Mapping[str, Callable[[], Mapping[str, Any]]] = {
    "accelerators": accelerators,
    "instances": instances,
    "models": models,
    "quantizations": quantizations,
    "engines": engines,
}
FINDERS: tuple[Callable[[str], Any], ...] = (accelerator, instance, model, quantization, engine)
KIND_ARGUMENT = typer.Argument(help=f"One of {', '.join(KINDS)}.")


@app.command("list")
def list_rows(
    kind: Annotated[str, KIND_ARGUMENT] = "accelerators",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List what the catalog knows. Prices older than 90 days are marked.

    Example: fairlead catalog list instances
    """
    if kind not in KINDS:
        raise UserError(f"the catalog has no {kind}", hint=f"one of {', '.join(KINDS)}")
    rows = [plain(row) for row in KINDS[kind]().values()]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    today = datetime.now(UTC).date()
    lines = [dict(columns(row, today)) for row in KINDS[kind]().values()]
    shown = table(tuple(lines[0]), numbers=tuple(name for name in lines[0] if name not in {"name", "cloud", "GPU"}))
    for line in lines:
        shown.add_row(*line.values())
    console().print(shown)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name of any kind, written in any way.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one row with its source and date.

    Example: fairlead catalog show llama-3.1-8b
    """
    row = plain(anything(name))
    if as_json:
        typer.echo(json.dumps(row))
        return
    shown = table(("field", "value"))
    for field, value in row.items():
        if value not in (None, "", 0, False):
            shown.add_row(field, str(value))
    console().print(shown)


def anything(name: str) -> Any:
    """The row called `name`, of whatever kind. Raises UserError with the nearest names of every kind."""
    hints = []
    for finder in FINDERS:
        try:
            return finder(name)
        except UserError as error:
            hints += [problem.hint for problem in error.problems if problem.hint.startswith("did you mean")]
    raise UserError(f"the catalog has nothing called {name!r}", hint="; ".join(hints) or "see `fairlead catalog list`")


def plain(row: Any) -> dict[str, Any]:
    """A row as JSON has it."""
    return {name: str(value) if isinstance(value, date) else value for name, value in asdict(row).items()}


def columns(row: Any, today: date) -> Iterator[tuple[str, str]]:
    """What the list shows of a row."""
    yield "name", row.name
    if isinstance(row, Accelerator):
        yield from {"GiB": f"{row.usable_gib:g}", "GB/s": f"{row.bandwidth_gb_s:g}"}.items()
        yield from ((name, f"{row.tflops.get(name, 0) or ''}") for name in ("bf16", "fp16", "fp8", "int8", "fp4"))
        yield "link GB/s", f"{row.link_gb_s:g}"
    elif isinstance(row, Instance):
        spot = f"{row.usd_hour_spot:.2f}" if row.usd_hour_spot else ""
        yield from {"cloud": row.cloud, "GPU": row.gpu, "GPUs": str(row.gpus), "USD/h": f"{row.usd_hour:.2f}"}.items()
        yield from {"spot": spot, "days old": f"{row.age_days(today)}{' !' if row.is_stale(today) else ''}"}.items()
    elif isinstance(row, ModelShape):
        yield from {"B params": f"{row.params / 1e9:.1f}", "layers": str(row.layers), "hidden": str(row.hidden)}.items()
        yield from {"experts": str(row.experts or ""), "context": str(row.max_context)}.items()
        yield "KV bytes/token", str(row.cached_token_layers(1) * row.cached_values * 2)
    else:
        yield from ((name, str(value)) for name, value in list(plain(row).items())[1:5])
