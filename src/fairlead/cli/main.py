"""The command line: every command is a word, one function, and what it prints."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from fairlead import __version__
from fairlead.cli import (
    access_commands,
    batch_commands,
    catalog_commands,
    chat_command,
    import_command,
    keys_commands,
    lint_commands,
    plan_commands,
    prove_command,
    render_command,
    schemas_commands,
    service_commands,
    spec_commands,
    store_commands,
    usage_command,
)
from fairlead.errors import UserError

app = typer.Typer(
    name="fairlead",
    help="Declare an LLM service once; run it, and prove that what was declared is enforced.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def version(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Print the version.

    Example: fairlead version --json
    """
    typer.echo(f'{{"version": "{__version__}"}}' if as_json else f"fairlead {__version__}")


for command in (
    service_commands.up,
    service_commands.down,
    service_commands.status,
    service_commands.logs,
    chat_command.chat,
    usage_command.usage,
    prove_command.prove,
    spec_commands.init,
    spec_commands.check,
    spec_commands.diff,
    spec_commands.schema,
    render_command.render,
    lint_commands.lint,
    version,
):
    app.command()(command)
app.command("import")(import_command.import_)
app.add_typer(access_commands.app, name="access")
app.add_typer(keys_commands.app, name="keys")
app.add_typer(store_commands.app, name="store")
app.add_typer(batch_commands.app, name="batch")
app.add_typer(plan_commands.app, name="plan")
app.add_typer(catalog_commands.app, name="catalog")
app.add_typer(schemas_commands.app, name="schemas")


def main() -> None:
    """Entry point. The user's errors are printed; anything else is our bug and shows its traceback."""
    try:
        app()
    except UserError as error:
        console = Console(stderr=True, soft_wrap=True)
        for problem in error.problems:
            console.print(Text(problem.text()), highlight=False)
        if len(error.problems) > 1:
            console.print(f"{len(error.problems)} problems")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
