"""`fairlead lint`: what is dead, refused, unschedulable or open in manifests and configurations."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from fairlead import __version__
from fairlead.cli import show
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.lint import fix as fixes
from fairlead.lint.finding import Finding
from fairlead.lint.rule import Rule, rules

if TYPE_CHECKING:
    from fairlead.lint.front.read import File
    from fairlead.lint.run import Report

COLORS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
CUT = 160  # columns of a source line that are shown


class Format(StrEnum):
    """What a report is written as."""

    text = "text"
    json = "json"
    sarif = "sarif"
    junit = "junit"


class Level(StrEnum):
    """How bad a finding is."""

    error = "error"
    warning = "warning"
    info = "info"


def lint(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders.", show_default=False)] = None,
    select: Annotated[list[str] | None, typer.Option("--rule", help="Only this rule; give it more than once.")] = None,
    fail_on: Annotated[Level, typer.Option(help="Exit code 1 from this severity on.")] = Level.error,
    output: Annotated[Format, typer.Option("--format", help="How the findings are written.")] = Format.text,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Show as a diff what can be mended safely.")] = False,
    write: Annotated[bool, typer.Option("--write", help="With --fix: change the files.")] = False,
    outside: Annotated[
        bool, typer.Option("--outside", help="Also run shellcheck, hadolint and checkov, where installed.")
    ] = False,
    schemas: Annotated[
        bool, typer.Option("--schemas", help="Also hold custom objects against what `fairlead schemas pull` brought.")
    ] = False,
    explain: Annotated[str | None, typer.Option(help="Print the page of a rule, for example D-21.")] = None,
) -> None:
    """Find what is dead, refused, unschedulable or open in manifests, scripts, dashboards and pages about them.

    Example: fairlead lint deploy/ docs/guide.md
    """
    if explain is not None:
        typer.echo(page(_rule(explain)))
        return
    if not paths:
        raise UserError("nothing to lint", hint="fairlead lint deploy/, or fairlead lint --explain D-21")
    from fairlead.lint.run import lint as run
    from fairlead.ops import lint_files

    chosen = [_rule(name).id for name in select or ()]
    files = lint_files.files(paths)
    foreign: list[Finding] = []
    if outside:
        from fairlead.ops.outside_linters import findings as of_others

        foreign += of_others(files)
    if schemas:
        foreign += by_definitions(files)
    report = run(files, only=chosen, foreign=foreign)
    if fix:
        mend(files, report, write=write)
        return
    told(report, files, Format.json if as_json else output)
    if report.fails(fail_on.value):
        raise typer.Exit(EXIT_FAILED)


def by_definitions(files: Sequence[File]) -> Sequence[Finding]:
    """What pulled definitions say; what they could not check is told. Raises UserError where there are none."""
    from fairlead.ops.schemas import received, store

    received.refuse_without_libraries()
    pulled = store.pulled(store.place(os.environ, Path.home()))
    if pulled is None:
        raise UserError("no schemas were pulled", hint="fairlead schemas pull --from-cluster, or --from-release")
    from fairlead.ops.schemas import linting

    told = linting.lint(files, pulled)
    typer.echo(told.line(), err=True)
    return told.findings


def _rule(name: str) -> Rule:
    if name.upper() not in rules():
        raise UserError(f"there is no rule {name}", hint=f"rules: {', '.join(rules())}")
    return rules()[name.upper()]


def told(report: Report, files: Sequence[File], output: Format) -> None:
    """Print a report."""
    from fairlead.lint.report import junit, sarif

    if output is Format.json:
        typer.echo(json.dumps([finding.as_json() for finding in report.findings], indent=2))
    elif output is Format.sarif:
        typer.echo(json.dumps(sarif(report, __version__), indent=2))
    elif output is Format.junit:
        typer.echo(junit(report), nl=False)
    else:
        console = show.console()
        lines = {file.path: file.text.split("\n") for file in files}
        for finding in report.findings:
            console.print(_told(finding, lines.get(finding.file, [])), soft_wrap=True)
        console.print(summary(report))


def _told(finding: Finding, lines: Sequence[str]) -> Text:
    """A finding with its source line, a caret below the place, and the fix."""
    text = Text(f"{finding.file}:{finding.line}:{finding.column}  ")
    text.append(f"{finding.severity} {finding.rule}", style=COLORS[finding.severity])
    text.append(f"  {finding.message}\n")
    source = lines[finding.line - 1] if finding.line <= len(lines) else ""
    if source.strip():
        at = max(finding.column - 1, len(source) - len(source.lstrip()))
        start = max(0, at - CUT // 2)
        text.append(f"    | {source[start : start + CUT]}\n    | {' ' * (at - start)}^\n", style="dim")
    text.append(f"    fix: {finding.fix}\n")
    return text


def summary(report: Report) -> str:
    """One line: how much was read, what was found."""
    counts = ", ".join(f"{report.count(level.value)} {level.value}" for level in Level)
    ignored = f", {len(report.suppressed)} ignored with a reason" if report.suppressed else ""
    return f"{report.files} files, {report.documents} documents: {counts}{ignored}"


def mend(files: Sequence[File], report: Report, *, write: bool) -> None:
    """Show the safe changes as one diff; with `write`, make them."""
    texts = {file.path: file.text for file in files}
    changed = 0
    for path, edits in fixes.by_file(report.findings).items():
        after = fixes.fixed(texts[path], edits)
        if after != texts[path]:
            changed += 1
            typer.echo(fixes.diff(path, texts[path], after), nl=False)
            if write:
                Path(path).write_text(after, encoding="utf-8")
    verb = "changed" if write else "would change; --write makes the changes"
    typer.echo(f"{changed} files {verb}", err=True)


def page(rule: Rule) -> str:
    """The page of a rule, as Markdown: also what `docs/reference/rules.md` consists of."""
    return "\n".join(page_lines(rule))


def page_lines(rule: Rule) -> Iterator[str]:
    """The lines of a rule's page."""
    mends = ", mended by --fix" if rule.fixes_itself else ""
    yield from (f"### {rule.id}: {rule.title}", "", f"{rule.severity}{mends}", "", rule.why, "")
    yield from (f"**Fix:** {rule.fix}", "", f"**Evidence:** {rule.evidence}", "")
    for title, text in (("Found", rule.bad), ("Left alone", rule.good)):
        fence = "````" if "```" in text else "```"
        yield from (f"{title} (`{rule.file}`):", "", f"{fence}text", text.strip("\n"), fence, "")
