"""The one escape hatch: a merge patch (RFC 7386) on a rendered object, applied last, and checked like all the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fairlead.errors import Problem, UserError
from fairlead.render import names
from fairlead.render.files import Document, Files
from fairlead.spec.deploy import Deploy
from fairlead.spec.problems import nearest


def overridden(files: Files, deploy: Deploy) -> Files:
    """The files with every override applied, in their order. Raises UserError with those that are for no object."""
    documents, problems = list(files.documents), []
    for number, override in enumerate(deploy.overrides):
        wanted = f"{override.kind}/{override.name}"
        places = [place for place, document in enumerate(documents) if document.title == wanted]
        for place in places:
            documents[place] = patched(documents[place], override.patch, number)
        if not places:
            known = sorted({document.title for document in documents if "kind" in document.object})
            hint = nearest(wanted, known, otherwise="rendered")
            problems.append(Problem(f"no {wanted} is rendered", subject=f"deploy.overrides[{number}]", hint=hint))
    if problems:
        raise UserError(problems=problems)
    return replace(files, documents=tuple(documents))


def patched(document: Document, patch: Mapping[str, Any], number: int) -> Document:
    """The object with a patch, and a note which one it was."""
    noted = merged(document.object, patch)
    metadata = noted["metadata"] if isinstance(noted.get("metadata"), dict) else {}
    annotations = {**(metadata.get("annotations") or {}), names.OVERRIDDEN: f"deploy.overrides[{number}]"}
    return Document(document.path, {**noted, "metadata": {**metadata, "annotations": annotations}})


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2: mappings merge, null takes away, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    base = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            base.pop(key, None)
        else:
            base[key] = merged(base.get(key), value)
    return base
