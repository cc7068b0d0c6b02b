"""`plan [FILE]`: which hardware a file's service needs, what it costs, and why."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.tree import Tree
from typer.core import TyperGroup

from fairlead.cli.files import text_of
from fairlead.cli.report_file import write_report
from fairlead.cli.show import console, table
from fairlead.errors import UserError
from fairlead.spec.load import load, read
from fairlead.spec.locate import located
from fairlead.spec.types import Spec

if TYPE_CHECKING:
    from fairlead.plan.alternatives import Alternative
    from fairlead.plan.answer import Answer, ModelAnswer
    from fairlead.plan.constants import Fit
    from fairlead.plan.explain import Number
    from fairlead.plan.report.page import Table as Rows

CONSTANTS = typer.Option("--constants", help="Constants of your own, written by `plan calibrate`.")
DEFAULT = "service"


class FileGroup(TyperGroup):
    """`fairlead plan FILE` is `fairlead plan service FILE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word in where none of the commands is named."""
        known = {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, args if args and args[0] in known else [DEFAULT, *args])


def service(
    file: Annotated[Path, typer.Argument(help="The file to plan.")] = Path("fairlead.yaml"),
    environment: Annotated[str | None, typer.Option("-e", "--environment", help="Plan for this environment.")] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show where every number comes from.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with plots to this file.")] = None,
    constants: Annotated[Path | None, CONSTANTS] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Choose hardware for a file: pools, replicas, cost, what would change it. The word `service` may be left out.

    Example: fairlead plan examples/production/fairlead.yaml --explain
    """
    spec = load(file, environment)
    if spec.hardware is None:
        show_laptop(spec, file.parent, as_json=as_json)
        return
    known = fit(constants)
    made = answered(spec, file, known)
    if html is not None:
        from fairlead.plan.report.planned import sections

        write_report(html, f"Plan of {spec.name}", f"fairlead plan {file}", sections(made, known))
    if as_json:
        typer.echo(json.dumps(document(made), indent=2))
    elif explain:
        for each in made.models:
            console().print(tree(each))
    else:
        show(made)


def fit(constants: Path | None) -> Fit:
    """The constants of the file, or those of the package."""
    from fairlead.plan.constants import parse, shipped

    return shipped() if constants is None else parse(text_of(constants))


def answered(spec: Spec, file: Path, known: Fit) -> Answer:
    """The answer; problems come with their lines."""
    from fairlead.plan.answer import answer

    try:
        with console(stderr=True).status("searching"):
            return answer(spec, known, datetime.now(UTC).date(), folder=file.parent)
    except UserError as error:
        raise located(error, read(file)) from None


def show(made: Answer) -> None:
    """For people."""
    from fairlead.plan.report import answered as told

    screen = console()
    screen.print(told.bill(made), markup=False)
    screen.print(drawn("Pools", told.pools(made)))
    screen.print(drawn("Models", told.models(made)))
    screen.print(drawn("Tiers", told.tiers(made)))
    for each in made.models:
        if each.alternatives:
            screen.print(drawn(f"{each.placement.model}: elsewhere, not simulated", told.elsewhere(each)))
            screen.print(drawn(f"{each.placement.model}: what if", told.what_if(each)))
    for problem in made.plan.warnings:
        screen.print(f"note: {problem.subject} {problem.message}; {problem.hint}".rstrip("; "), markup=False)


def drawn(title: str, rows: Rows) -> Any:
    """A table on the screen."""
    shown = table(rows.columns, title=title, numbers=tuple(rows.numbers))
    for row in rows.rows:
        shown.add_row(*row)
    return shown


def tree(each: ModelAnswer) -> Tree:
    """Every number of a model."""
    root = each.explained
    grown = Tree(f"{root.name}: {root.value}".replace("[", r"\["))
    for number in root.inputs:
        grow(grown, number)
    return grown


def grow(branch: Tree, number: Number) -> None:
    """A number, and below it what it is made of."""
    made = f" = {number.formula}" if number.formula else ""
    source = f"  [{number.source}]" if number.source else ""
    inner = branch.add(f"{number.name}: {number.value}{made}{source}".replace("[", r"\["))
    for each in number.inputs:
        grow(inner, each)


def document(made: Answer) -> dict[str, Any]:
    """The answer as `--json` prints it."""
    return {
        "cloud": made.plan.cloud,
        "region": made.plan.region,
        "usd_month": made.usd_month,
        "pools": [plain(asdict(pool)) for pool in made.plan.pools],
        "models": [model_document(each) for each in made.models],
        "tiers": [asdict(tier) for tier in made.tiers],
        "warnings": [problem.as_json() for problem in made.plan.warnings],
    }


def model_document(each: ModelAnswer) -> dict[str, Any]:
    """One model of `--json`."""
    placement, deployment = each.placement, each.placement.deployment
    return {
        "model": placement.model,
        "pool": placement.pool,
        "shape": deployment.model.name,
        "quantization": deployment.quantization.name,
        "tensor_parallel_size": deployment.tp,
        "replicas": deployment.replicas,
        "replicas_between": each.between,
        "min_replicas": placement.minimum,
        "max_replicas": placement.maximum,
        "max_model_len": placement.max_model_len,
        "max_num_seqs": placement.max_num_seqs,
        "max_num_batched_tokens": deployment.tokens,
        "gpu_memory_utilization": deployment.utilization,
        "ongoing": placement.ongoing,
        "startup_s": placement.startup_s,
        "rate": each.ask.rate,
        "takes": each.takes,
        "speed": asdict(each.speed) if each.speed else None,
        "confidence": each.confidence,
        "usd_month": each.usd_month,
        "usd_million_tokens": each.usd_million,
        "alternatives": [alternative_document(other) for other in each.alternatives],
        "what_ifs": [asdict(what) for what in each.what_ifs],
        "explained": asdict(each.explained),
    }


def alternative_document(other: Alternative) -> dict[str, Any]:
    """One alternative of `--json`."""
    return {
        "instance": other.option.site.instance.name,
        "tensor_parallel_size": other.option.plan.tp,
        "quantization": other.option.plan.quantization.name,
        "replicas": other.replicas,
        "nodes": other.nodes,
        "usd_month": other.usd_month,
        **asdict(other.pace),
    }


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """A pool as JSON has it."""
    values["instance"]["date"] = str(values["instance"]["date"])
    return values


def show_laptop(spec: Spec, folder: Path, *, as_json: bool) -> None:
    """Without hardware: what this machine needs."""
    from fairlead.plan.laptop import engines, gib

    rows = list(engines(spec, folder))
    if not rows:
        hint = "hardware: {cloud: aws, region: us-east-1}; see docs/planning.md"
        raise UserError(
            "there is nothing to plan: no engine runs on this machine's CPU, no hardware is stated", hint=hint
        )
    total = sum(row.total for row in rows)
    if as_json:
        typer.echo(json.dumps({"engines": [asdict(row) | {"total": row.total} for row in rows], "bytes": total}))
        return
    columns = ("model", "engine", "replicas", "engine itself", "KV cache", "weights", "in all")
    shown = table(columns, numbers=columns[2:])
    for row in rows:
        sizes = (gib(size) for size in (row.idle, row.kv_cache, row.weights, row.total))
        shown.add_row(row.model, row.engine, str(row.replicas), *sizes)
    console().print(shown)
    unknown = "" if all(row.weights is not None for row in rows) else ", and the weights that nobody knows yet"
    console().print(f"this machine needs {gib(total)} of memory for engines{unknown}")
