"""Pipelines: constant files, and a few values of this service that they read. They are used from the root."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fairlead.render import names
from fairlead.render.build import Build, Part
from fairlead.render.cluster import rendered_models
from fairlead.spec.problems import Finding
from fairlead.spec.types import Spec

FOLDER = "delivery"
OF_A_PIPELINE = {".github": "github", "Jenkinsfile": "jenkins"}
"""What stands in the folder of files, by its first part; the rest is for every pipeline."""


def pipelines(build: Build) -> Iterator[Part]:
    """The asked for pipelines, the scripts and images that they use, and `stage.env`."""
    wish = build.spec.delivery
    if wish is None or not wish.pipelines:
        return
    for path, text in constant().items():
        pipeline = OF_A_PIPELINE.get(path.partition("/")[0])
        if pipeline is None or pipeline in wish.pipelines:
            yield f"{FOLDER}/{path}", text
    yield f"{FOLDER}/stage.env", stage(build.spec)


def stage(spec: Spec) -> str:
    """What the scripts are told of this stage, for a shell to read."""
    assert spec.deploy is not None  # refusals
    assert spec.deploy.ingress is not None
    values = {
        "NAMESPACE": names.namespace(spec),
        "URL": f"https://{spec.deploy.ingress.hostname}",
        "SMOKE_MODEL": next(iter(rendered_models(spec))),
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def delivery_refusals(spec: Spec) -> Iterator[Finding]:
    """Why a pipeline could not do its work."""
    wish, deploy = spec.delivery, spec.deploy
    if wish and wish.pipelines and deploy and deploy.ingress is None:
        message = "the smoke test asks as callers do, and nothing says where they reach the gateway"
        yield Finding(("delivery", "pipelines"), message, "add deploy: {ingress: {hostname: llm.example.com}}")


@cache
def constant() -> Mapping[str, str]:
    """Every constant file, by its path at the repository's root."""
    return dict(_texts(files("fairlead.render.delivery").joinpath("files")))


def _texts(folder: Traversable, under: str = "") -> Iterator[tuple[str, str]]:
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir():
            yield from _texts(each, f"{under}{each.name}/")
        else:
            yield f"{under}{each.name}", each.read_text(encoding="utf-8")
