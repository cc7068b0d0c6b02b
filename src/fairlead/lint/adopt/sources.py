"""Where a model's weights come from, as a source of the spec; a folder on a volume says nothing of that."""

from __future__ import annotations

import re

from fairlead.lint.adopt.notes import Adopted
from fairlead.lint.folder import Folder
from fairlead.lint.tree import Place

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+\Z")
BUCKETS = ("s3://", "gs://", "az://")


def downloads(folder: Folder) -> dict[str, str]:
    """Folder -> source, for every command that fetches one: Fairlead's own, and those of the hub."""
    found: dict[str, str] = {}
    for _, command in folder.commands():
        words = [word.text for word in command.words]
        if "fairlead.engine.fetch" in words:
            arguments = words[words.index("fairlead.engine.fetch") + 1 :]
            if len(arguments) >= 3:
                found[f"{arguments[1].rstrip('/')}/{arguments[2]}"] = arguments[0]
        elif command.name in ("hf", "huggingface-cli") and words[1:2] == ["download"] and len(words) > 2:
            target = command.option("--local-dir")
            if target and REPOSITORY.match(words[2]):
                revision = command.option("--revision")
                found[target.text.rstrip("/")] = f"hf://{words[2]}@{revision.text if revision else 'main'}"
    return found


def set_source(model: Adopted, text: str, at: Place, *, fetched: dict[str, str], revision: str = "") -> None:
    """Set `source` from a repository, a URI or a folder."""
    plain = text.strip().rstrip("/")
    if plain in fetched:
        model.values["source"] = fetched[plain]
        model.carried(f"source {fetched[plain]}", at)
    elif plain.startswith(BUCKETS):
        model.values["source"] = plain
        model.carried(f"source {plain}", at)
    elif plain.startswith("hf://") or REPOSITORY.match(plain):
        repository, _, named = plain.removeprefix("hf://").replace("@", ":").partition(":")
        chosen = revision or named or "main"
        model.values["source"] = f"hf://{repository}@{chosen}"
        model.carried(f"source hf://{repository}", at)
        if chosen == "main":
            model.lost("no revision says which weights: `@main` moves, write the commit", at)
    else:
        folder = re.sub(r"[^A-Za-z0-9._-]+", "-", plain.rpartition("/")[2]).strip("-.") or "model"
        model.values["source"] = f"./models/{folder}"
        model.lost(f"{plain} lies on a volume: ./models/{folder} stands for it, write an s3:// or hf:// source", at)
