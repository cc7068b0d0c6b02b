"""`plan [FILE]`: which hardware a file's service needs, what it costs, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.tree import Tree
from typer.core import TyperGroup

from fairlead.cli.show import console, table
from fairlead.errors import UserError
from fairlead.spec.load import load, read
from fairlead.spec.locate import located
from fairlead.spec.types import Spec

if TYPE_CHECKING:
    from fairlead.plan.alternatives import Alternative
    from fairlead.plan.answer import Answer, ModelAnswer
    from fairlead.plan.explain import Number
    from fairlead.plan.whatif import WhatIf

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
    made = answered(spec, file, constants)
    if as_json:
        typer.echo(json.dumps(document(made), indent=2))
    elif explain:
        for each in made.models:
            console().print(tree(each))
    else:
        show(made)


def answered(spec: Spec, file: Path, constants: Path | None) -> Answer:
    """The answer; problems come with their lines."""
    from fairlead.cli.files import text_of
    from fairlead.plan.answer import answer
    from fairlead.plan.constants import parse, shipped

    known = shipped() if constants is None else parse(text_of(constants))
    try:
        with console(stderr=True).status("searching"):
            return answer(spec, known, datetime.now(UTC).date(), folder=file.parent)
    except UserError as error:
        raise located(error, read(file)) from None


def show(made: Answer) -> None:
    """For people."""
    screen = console()
    screen.print(
        f"{made.plan.cloud}, {made.plan.region}: {made.usd_month:,.0f} USD a month for all nodes, day and night"
    )
    screen.print(pools_table(made))
    screen.print(models_table(made))
    screen.print(tiers_table(made))
    for each in made.models:
        if each.alternatives:
            screen.print(alternatives_table(each))
            screen.print(what_if_table(each))
    for problem in made.plan.warnings:
        screen.print(f"note: {problem.subject} {problem.message}; {problem.hint}".rstrip("; "), markup=False)


def pools_table(made: Answer) -> Any:
    """Nodes."""
    from fairlead.plan.market import MONTH_H, usd_hour

    columns = ("pool", "instance", "GPUs", "nodes", "min", "max", "USD/h", "price of", "USD/month")
    shown = table(columns, title="Pools", numbers=columns[3:7] + columns[8:])
    for pool in made.plan.pools:
        machine, price = pool.instance, usd_hour(pool)
        gpus = f"{machine.gpus} x {machine.gpu}" if machine.gpus else "-"
        own = machine.source == "hardware.prices"
        shown.add_row(
            pool.name,
            f"{machine.name}{', spot' if pool.spot else ''}",
            gpus,
            *(str(count) for count in (pool.nodes, pool.minimum, pool.maximum)),
            f"{price:.2f}",
            "your file" if own else str(machine.date),
            f"{pool.nodes * price * MONTH_H:,.0f}",
        )
    return shown


def models_table(made: Answer) -> Any:
    """Models."""
    columns = ("model", "pool", "as", "tp", "replicas", "takes/s", "TTFT p95", "TPOT p95", "USD/month", "USD/M tokens")
    shown = table((*columns, "how sure"), title="Models", numbers=columns[3:])
    for each in made.models:
        placement, speed = each.placement, each.speed
        fewest, most = each.between
        count = placement.deployment.replicas
        spread = f" (80 %: {fewest} to {most})" if fewest < most else ""
        shown.add_row(
            placement.model,
            placement.pool,
            f"{placement.deployment.model.name} {placement.deployment.quantization.name}",
            str(placement.deployment.tp),
            f"{count}{spread}",
            f"{each.takes * count:.3g} of {each.ask.rate:.3g}" if each.ask.rate else "",
            f"{speed.ttft_p95_ms:,.0f} ms" if speed else "",
            f"{speed.tpot_p95_ms:.0f} ms" if speed else "",
            f"{each.usd_month:,.0f}",
            f"{each.usd_million:.3g}" if each.usd_million else "",
            each.confidence,
        )
    return shown


def tiers_table(made: Answer) -> Any:
    """Three sizes."""
    shown = table(("tier", "means", "replicas", "nodes", "USD/month"), title="Tiers", numbers=("USD/month",))
    for tier in made.tiers:
        replicas = ", ".join(f"{name} {count}" for name, count in tier.replicas)
        nodes = ", ".join(f"{count} x {name}" for name, count in tier.nodes)
        cost = f"{tier.usd_month:,.0f}" if tier.usd_month is not None else "nothing on offer does it"
        shown.add_row(tier.name, tier.means, replicas, nodes, cost)
    return shown


def alternatives_table(each: ModelAnswer) -> Any:
    """Where else."""
    columns = ("scaling", "on", "tp", "replicas", "nodes", "USD/month", "TTFT mean", "TPOT mean")
    shown = table(columns, title=f"{each.placement.model}: elsewhere, not simulated", numbers=columns[2:])
    for other in each.alternatives:
        shown.add_row(*alternative_row(each, other))
    return shown


def alternative_row(each: ModelAnswer, other: Alternative) -> Iterator[str]:
    """One row."""
    from fairlead.plan.alternatives import scaling

    machine = other.option.site.instance
    yield scaling(each.placement.deployment, other.option.plan)
    yield f"{machine.name} ({machine.gpus} x {machine.gpu})"
    yield from (str(value) for value in (other.option.plan.tp, other.replicas, other.nodes))
    yield f"{other.usd_month:,.0f}"
    yield from (f"{value:,.0f} ms" for value in (other.pace.ttft_ms, other.pace.tpot_ms))


def what_if_table(each: ModelAnswer) -> Any:
    """What would change the bill."""
    columns = ("what if", "then", "saves USD/month", "TPOT mean", "its price")
    shown = table(columns, title=f"{each.placement.model}: what if", numbers=columns[2:4])
    for what in each.what_ifs:
        shown.add_row(what.name, what.change, f"{what.saving:,.0f}", tpot(what), what.price)
    return shown


def tpot(what: WhatIf) -> str:
    """Before and after."""
    return f"{what.tpot_ms[0]:.0f} -> {what.tpot_ms[1]:.0f} ms" if what.tpot_ms else "stays"


def tree(each: ModelAnswer) -> Tree:
    """Every number of a model."""
    grown = Tree(each.placement.model)
    grow(grown, each.explained)
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
