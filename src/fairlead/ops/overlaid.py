"""Several environments of a file in one folder: a Kustomize base, and a folder for each of them with its overlay."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from fairlead.errors import Problem, UserError
from fairlead.ops.rendering import Rendered
from fairlead.render import overlays
from fairlead.render.evidence import FILE as EVIDENCE
from fairlead.render.evidence import evidence
from fairlead.render.files import MANIFESTS, Document, Files, files
from fairlead.render.provenance import FILE as PROVENANCE
from fairlead.render.provenance import provenance

FROM_FOLDER = "../"
"""From an environment's folder to what all share."""


@dataclass(frozen=True, slots=True)
class Overlaid:
    """The texts of the whole folder by path, and each environment's full rendering."""

    texts: Mapping[str, str]
    renderings: Mapping[str, Rendered]


def overlaid(renderings: Mapping[str, Rendered]) -> Overlaid:
    """The folder. Raises UserError for names that are no folder's, and where Argo CD would apply another's folder."""
    refuse_names(renderings)
    refuse_shared_path(renderings)
    layers = overlays.layers({name: made.files.manifests for name, made in renderings.items()})
    base = files(overlays.base_parts(layers)).texts()
    texts = dict(base)
    for name, made in renderings.items():
        own = environment_texts(made, layers.base, layers.overlays[name], base)
        texts |= {f"{name}/{path}": text for path, text in own.items()}
    return Overlaid(dict(sorted(texts.items())), renderings)


def environment_texts(
    made: Rendered, base: Collection[overlays.Key], overlay: overlays.Overlay, base_texts: Mapping[str, str]
) -> dict[str, str]:
    """An environment's folder: its rendering, with the overlay in place of the manifests."""
    rest = {path: text for path, text in made.texts.items() if not path.startswith(MANIFESTS) and path != EVIDENCE}
    texts = {**rest, **files(overlays.overlay_parts(overlay)).texts()}
    texts[PROVENANCE] = provenance(moved(made.files, base), made.where)
    return {**texts, EVIDENCE: evidence([*texts, *(FROM_FOLDER + path for path in base_texts)])}


def moved(files: Files, base: Collection[overlays.Key]) -> list[Document]:
    """The manifests, each with the path of the file that it stands in now."""
    return [
        replace(each, path=FROM_FOLDER + overlays.BASE + each.path.removeprefix(MANIFESTS)) if at in base else each
        for at, each in overlays.keyed(files.manifests).items()
    ]


def refuse_names(names: Iterable[str]) -> None:
    """Raise UserError for an environment that cannot be a folder beside the base."""
    hint = "small letters, digits and dashes, and not `base`"
    wrong = [name for name in names if f"{name}/" == overlays.BASE or not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name)]
    if wrong:
        raise UserError(problems=[Problem(f"{name!r} cannot be the folder of an overlay", hint=hint) for name in wrong])


def refuse_shared_path(renderings: Mapping[str, Rendered]) -> None:
    """Raise UserError where an Application would apply the folder of another environment."""
    problems = []
    for name, made in renderings.items():
        wish = made.build.spec.delivery.argocd if made.build.spec.delivery else None
        if wish and wish.path.rstrip("/").rpartition("/")[2] != name:
            message = f"Argo CD would apply {wish.path}, which is not the folder of {name}"
            hint = f"environments: {{{name}: {{delivery: {{argocd: {{path: .../{name}}}}}}}}}"
            where = made.where("delivery.argocd.path")
            problems.append(Problem(message, where=where, subject="delivery.argocd.path", hint=hint))
    if problems:
        raise UserError(problems=problems)
