"""All importers over one folder: the values of a fairlead.yaml, and the report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fairlead.lint.adopt.charts import proxied_models, proxy_settings, stack_models
from fairlead.lint.adopt.kserve import kserve_models, other_formats
from fairlead.lint.adopt.kubernetes import deployed_models
from fairlead.lint.adopt.notes import Adopted, Note
from fairlead.lint.adopt.rayservice import other_applications, ray_models
from fairlead.lint.adopt.settings import cap_context
from fairlead.lint.adopt.sources import downloads
from fairlead.lint.finding import Finding
from fairlead.lint.folder import Folder, name_of
from fairlead.lint.front.read import File
from fairlead.lint.rule import rules
from fairlead.lint.run import lint
from fairlead.lint.tree import dig

FAMILIES = {"ray", "serve_config", "kuberay", "kserve", "kserve_webhook", "vllm", "vllm_settings", "workloads"}
"""What these rules find is not in what Fairlead renders."""
PUBLIC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}\Z")


@dataclass(frozen=True, slots=True)
class Adoption:
    """`values` is the file; empty where no model was found. `notes` tell what became of everything else."""

    values: dict[str, Any]
    notes: tuple[Note, ...]

    def of_kind(self, kind: str) -> list[Note]:
        """The notes of one kind."""
        return [note for note in self.notes if note.kind == kind]


def adopt(files: list[File], *, name: str = "") -> Adoption:
    """Take over what the files declare."""
    folder = Folder(tuple(files))
    found = [model for model in _models(folder) if model.values.get("source") or model.values.get("urls")]
    for model in found:
        cap_context(model)
    notes = [note for model in _models(folder) if model not in found for note in model.notes if not _has(found, note)]
    notes += [note for model in found for note in model.notes]
    notes += list(_left_behind(folder))
    named = _distinct(found)
    notes += list(_corrected_by_rules(files, notes))
    ordered = sorted(set(notes), key=lambda note: (note.file, note.line, note.kind, note.message))
    return Adoption(_file(name or _service_name(folder), named) if named else {}, tuple(ordered))


def _models(folder: Folder) -> Iterator[Adopted]:
    fetched = downloads(folder)
    yield from ray_models(folder, fetched)
    yield from kserve_models(folder, fetched)
    yield from deployed_models(folder, fetched)
    yield from stack_models(folder, fetched)
    yield from proxied_models(folder)


def _has(found: list[Adopted], note: Note) -> bool:
    return any(note in model.notes for model in found)


def _distinct(found: list[Adopted]) -> dict[str, Adopted]:
    """The models by name; a further one of the same name has a number."""
    named: dict[str, Adopted] = {}
    for model in found:
        name, count = model.name, 2
        while name in named:
            name, count = f"{model.name}-{count}", count + 1
        named[name] = model
    return named


def _file(service: str, named: dict[str, Adopted]) -> dict[str, Any]:
    routes = {
        model.public: {"model": name}
        for name, model in named.items()
        if model.public != name and model.public not in named and PUBLIC.match(model.public)
    }
    limits = {_label(name): {"models": [name], **_rates(model)} for name, model in named.items() if model.limits}
    values: dict[str, Any] = {
        "apiVersion": "fairlead/v1",
        "name": service,
        "environment": "production",
        "models": {name: model.values for name, model in named.items()},
        "routes": routes,
        "access": {"roles": {"user": {"models": ["*"], "operations": ["chat", "completions"]}}},
        "limits": limits,
    }
    return {key: value for key, value in values.items() if value}


def _rates(model: Adopted) -> dict[str, str]:
    return {field: f"{number}/min" for field, number in model.limits.items()}


def _label(text: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:63] or "imported"


def _service_name(folder: Folder) -> str:
    """The name of the first object that serves; `imported` without any."""
    for kind in ("RayService", "InferenceService", "LLMInferenceService", "Deployment"):
        for document in folder.objects(kind):
            return _label(str(dig(document.root, "metadata", "name") or "imported"))
    return "imported"


def _left_behind(folder: Folder) -> Iterator[Note]:
    """Documents that serve something, and that cannot be declared."""
    for document, application in other_applications(folder):
        message = f"application {application.get('name')}: code of your own ({application.get('import_path')})"
        yield Note("lost", document.file, application.at.line, message)
    for document in other_formats(folder):
        yield Note("lost", document.file, document.root.at.line, f"{name_of(document)}: no language model in vLLM")
    for document in folder.objects("RayJob", "RayCronJob"):
        message = f"{name_of(document)}: jobs are not read; deploy.jobs declares batches"
        yield Note("lost", document.file, document.root.at.line, message)
    for document, holder, key, why in proxy_settings(folder):
        yield Note("lost", document.file, holder.place(key).line, f"{key}: {why}")


def _corrected_by_rules(files: list[File], notes: list[Note]) -> Iterator[Note]:
    """What the linter finds in the files, and what a rendered service has not."""
    told = {(note.file, note.line, note.rule) for note in notes}
    mine = [rule.id for rule in rules().values() if rule.family in FAMILIES]
    for finding in lint(files, only=mine).findings:
        if (finding.file, finding.line, finding.rule) not in told:
            yield _as_note(finding)


def _as_note(finding: Finding) -> Note:
    return Note("corrected", finding.file, finding.line, f"not taken over: {finding.message}", finding.rule)
