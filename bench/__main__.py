"""`python -m bench`: compare, print a table, write the report; what could not be measured is named."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import machine, report, table
from bench.peers import DEFAULT_PEERS, PEERS, Missing, Place
from bench.scenarios import SCENARIOS
from bench.suite import QUICK, REPLICAS, Effort, Outcome, Peer, compare
from fairlead.errors import UserError

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache/bench"
RESULT = Path(__file__).parent / "results/gateway.json"
PORTS_PER_PEER = 3  # its own, one for its metrics, one for a server beside it


def main(argv: Sequence[str]) -> int:
    """Run the comparison; 0 when it was measured, 2 when it could not start."""
    options = parse(argv)
    console = Console(stderr=True)
    try:
        measured = run(options, console)
    except UserError as error:
        console.print(str(error), style="red", markup=False)
        return error.exit_code
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(measured, indent=1) + "\n")
    show(measured, as_json=options.json)
    console.print(f"written: {options.out}", markup=False)
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round: a hint, not a result")
    parser.add_argument("--only", type=_names, default=DEFAULT_PEERS, help=f"peers, of: {','.join(PEERS)}")
    parser.add_argument("--peers", type=_names, default=(), help="further peers beside the usual ones: haproxy")
    parser.add_argument("--rounds", type=int, help="rounds (default 3)")
    parser.add_argument("--seconds", type=float, help="length of a run (default 4)")
    parser.add_argument("--port", type=int, default=19100, help="first of about 20 free ports")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the report is written")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser.parse_args(argv)


def run(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Prepare the peers, measure, and build the report."""
    machine.require()
    CACHE.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys((*options.only, *options.peers)))
    effort = effort_of(options)
    with tempfile.TemporaryDirectory(prefix="run-", dir=CACHE) as work:
        peers, missing = prepare(names, Path(work), options.port, console)
        total = (len(peers) + 1) * len(SCENARIOS) * effort.rounds
        with progress(console, total) as step:
            outcome = compare(peers, effort, mock_port=options.port, cache=CACHE, step=step)
        keep_logs(Path(work), peers)
    outcome = Outcome(outcome.runs, {**missing, **outcome.missing})
    versions = {peer.name: peer.launch.version for peer in peers}
    return assemble(outcome, versions, effort)


def effort_of(options: argparse.Namespace) -> Effort:
    """The default or the quick effort, with what the user set."""
    base = asdict(QUICK if options.quick else Effort())
    asked = {key: getattr(options, key) for key in ("rounds", "seconds") if getattr(options, key) is not None}
    return Effort(**(base | asked))


def prepare(names: Sequence[str], work: Path, first_port: int, console: Console) -> tuple[list[Peer], dict[str, str]]:
    """Install and configure each peer; those that cannot be had are returned with the reason."""
    peers: list[Peer] = []
    missing: dict[str, str] = {}
    upstream_ports = tuple(range(first_port, first_port + REPLICAS))
    for index, name in enumerate(names):
        (work / name).mkdir()
        place = Place(CACHE, work / name, first_port + REPLICAS + index * PORTS_PER_PEER, upstream_ports)
        try:
            with console.status(f"preparing {name}"):
                peers.append(Peer(name, PEERS[name](place), place))
        except Missing as reason:
            missing[name] = str(reason)
    return peers, missing


@contextmanager
def progress(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """A bar that moves on when the next run begins."""
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("starting", total=total, completed=-1)

        def step(text: str) -> None:
            bar.update(task, advance=1, description=text)

        yield step
        bar.update(task, completed=total, description="done")


def keep_logs(work: Path, peers: Sequence[Peer]) -> None:
    """Keep what the peers printed, for whoever wonders about a figure."""
    logs = CACHE / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir()
    for peer in peers:
        for log in (work / peer.name).glob(f"{peer.name}.log"):
            log.replace(logs / log.name)


def assemble(outcome: Outcome, versions: dict[str, str], effort: Effort) -> dict[str, Any]:
    """The report as it is written: figures, ratios, goals, the machine, and every run."""
    rows = report.rows(outcome.runs)
    shares = report.ratios(rows)
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
        "machine": machine.describe(),
        "effort": asdict(effort),
        "scenarios": {name: asdict(scenario) for name, scenario in SCENARIOS.items()},
        "peers": {
            name: {"version": versions.get(name, ""), **row, "of_nginx": shares.get(name, {})}
            for name, row in rows.items()
        },
        "goals": report.verdicts(rows),
        "missing": dict(outcome.missing),
        "runs": [asdict(run) for run in outcome.runs],
    }


def show(measured: dict[str, Any], *, as_json: bool) -> None:
    """Print the report: a table for people, JSON for programs."""
    if as_json:
        print(json.dumps(measured, indent=1))
    else:
        Console(width=max(Console().width, table.WIDTH)).print(table.render(measured))


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown peers {', '.join(unknown)}; known: {', '.join(PEERS)}")
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
