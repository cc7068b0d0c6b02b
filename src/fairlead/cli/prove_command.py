"""`prove`: show that what the file declares holds."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from fairlead.cli.show import console, table
from fairlead.errors import EXIT_FAILED
from fairlead.ops.prove.outcome import Finding
from fairlead.ops.prove.report import markdown
from fairlead.ops.prove.run import prove as try_all
from fairlead.spec.load import load

COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow"}


def prove(
    file: Annotated[Path, typer.Argument(help="The service's file.")] = Path("fairlead.yaml"),
    environment: Annotated[str | None, typer.Option("-e", "--environment", help="Prove this environment.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="A proof's id; may be given again.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a Markdown report here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Start the service beside any running one, and try to refute every claim of the file. Exit code 1 if one fails.

    Example: fairlead prove --report proof.md
    """
    spec = load(file, environment, environ=os.environ)
    screen = console(stderr=True)
    with screen.status("starting the service") as status:
        findings = try_all(
            spec,
            only=only or (),
            environ=os.environ,
            started=lambda proof: status.update(f"{proof.id}: {proof.claim(spec)}"),
        )
    if report is not None:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        at = datetime.now(UTC).isoformat(timespec="seconds")
        text = markdown(findings, name=spec.name, environment=spec.environment, file=file.name, digest=digest, at=at)
        report.write_text(text, encoding="utf-8")
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        show(findings)
    if any(finding.verdict == "failed" for finding in findings):
        raise typer.Exit(EXIT_FAILED)


def show(findings: list[Finding]) -> None:
    """The table."""
    shown = table(("id", "claim", "verdict", "evidence", "figure", "seconds"), numbers=("seconds",))
    for each in findings:
        verdict = f"[{COLOURS[each.verdict]}]{each.verdict}[/]"
        figure = f"{each.figure}\n{each.detail}" if each.detail else each.figure
        shown.add_row(each.id, each.claim, verdict, each.evidence, figure, f"{each.seconds:.1f}")
    console().print(shown)
