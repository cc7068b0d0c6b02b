"""`fairlead import`: other people's manifests and configurations become one fairlead.yaml, with a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from fairlead.cli import show
from fairlead.errors import EXIT_FAILED, UserError
from fairlead.render.yaml import dump

if TYPE_CHECKING:
    from fairlead.lint.adopt.adopt import Adoption

TITLES = {"carried": "carried over", "corrected": "corrected", "lost": "not possible"}


def import_(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", show_default=False)],
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The file to write. Default: print it.")] = None,
    name: Annotated[str, typer.Option(help="Name of the service. Default: that of the first object.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the values and the report as JSON.")] = False,
) -> None:
    """Turn RayServices, InferenceServices, vLLM Deployments, production-stack values and LiteLLM configs into one file.

    Example: fairlead import deploy/ -o fairlead.yaml
    """
    from fairlead.lint.adopt.adopt import adopt
    from fairlead.ops import lint_files

    adoption = adopt(lint_files.files(paths), name=name)
    if as_json:
        notes = [note.as_json() for note in adoption.notes]
        typer.echo(json.dumps({"values": adoption.values, "report": notes}, indent=2))
        raise typer.Exit(0 if adoption.values else EXIT_FAILED)
    report(adoption)
    if not adoption.values:
        raise UserError(
            "no model was found that could be taken over",
            hint="RayService, InferenceService, LLMInferenceService, vLLM Deployments, production-stack, LiteLLM",
            exit_code=EXIT_FAILED,
        )
    text = dump(adoption.values)
    if out is None:
        typer.echo(text, nl=False)
        return
    try:
        with out.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError("there is a file already", where=str(out), hint="--force overwrites it") from None
    except OSError as error:
        raise UserError(f"cannot be written: {error.strerror}", where=str(out)) from None
    typer.echo(f"wrote {out}; next: fairlead check {out}", err=True)


def report(adoption: Adoption) -> None:
    """Tell on stderr what became of everything that was met."""
    console = show.console(stderr=True)
    for kind, title in TITLES.items():
        notes = adoption.of_kind(kind)
        if notes:
            console.print(Text(f"{title}: {len(notes)}", style="bold"))
        for note in notes:
            rule = f" ({note.rule})" if note.rule else ""
            console.print(Text(f"  {note.file}:{note.line}  {note.message}{rule}"), soft_wrap=True)
