"""`python -m fairlead.engine.fetch SOURCE CACHE NAME`: a model is on this disk, whole, before its engine starts.

It ends up as `CACHE/NAME`, a link that is set when the last byte is there. Pods that share CACHE fetch it once; one
that finds it there is done at once. The engine itself needs neither the network nor a token.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fairlead.engine.source import fetch
from fairlead.errors import UserError

USAGE = "usage: python -m fairlead.engine.fetch SOURCE CACHE NAME\n"


def main() -> int:
    """Exit code 0 when the model is there."""
    if len(sys.argv) != 4:
        sys.stderr.write(USAGE)
        return 2
    source, cache, name = sys.argv[1:]
    try:
        link = linked(fetch(source, Path(cache) / "sources", base=Path.cwd(), progress=Steps()), Path(cache) / name)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stderr.write(f"{source} is at {link}\n")
    return 0


def linked(target: Path, link: Path) -> Path:
    """Let `link` lead to `target`, by a relative path, in one step: nobody ever finds it missing or half made."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(os.path.relpath(target, link.parent))
    fresh.replace(link)
    return link


class Steps:
    """One line for every tenth of a file: what `kubectl logs` shows of a download that takes minutes."""

    def __init__(self) -> None:
        self.shown: tuple[str, int] = ("", 0)

    def __call__(self, name: str, done_bytes: int, total_bytes: int) -> None:
        """See `Progress`."""
        step = (name, 10 * done_bytes // max(total_bytes, 1))
        if step != self.shown:
            self.shown = step
            sys.stderr.write(f"{name}: {10 * step[1]} % of {total_bytes} bytes\n")


if __name__ == "__main__":
    sys.exit(main())
