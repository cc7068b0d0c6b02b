"""A Helm chart of the manifests: the same objects, with images and parts as values; all else is in fairlead.yaml.

No template is written by hand: an image is replaced in the object by a mark, the mark in the text by what Helm reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.render import names, yaml
from fairlead.render.build import Build, Object, Part
from fairlead.render.engines.images import image
from fairlead.render.files import MANIFESTS, Files
from fairlead.spec.types import Spec

FOLDER = "chart"
TEMPLATES = f"{FOLDER}/templates"
MARK = re.compile(r'"@@(images\.[a-z]+)@@"')


def chart(build: Build, files: Files) -> Iterator[Part]:
    """Chart.yaml, values with their schema, and a template for each file of manifests."""
    if build.spec.delivery is None or not build.spec.delivery.chart:
        return
    parts = templates(build.spec, files)
    yield f"{FOLDER}/Chart.yaml", about(build.spec)
    yield f"{FOLDER}/values.yaml", values(build.spec, parts)
    yield f"{FOLDER}/values.schema.json", schema(values(build.spec, parts))
    yield f"{TEMPLATES}/0-namespace.yaml", guard(build.spec)
    for name, text in parts.items():
        yield f"{TEMPLATES}/{name}.yaml", text


def about(spec: Spec) -> Object:
    """Chart.yaml. Its version is that of the format; what it deploys says which images."""
    return {
        "apiVersion": "v2",
        "name": spec.name,
        "description": f"{spec.name}, rendered by fairlead",
        "type": "application",
        "version": "0.1.0",
        "kubeVersion": ">=1.34.0-0",
    }


def values(spec: Spec, parts: Mapping[str, str]) -> dict[str, Any]:
    """What may differ between installations of the same file: images, and which parts are installed."""
    whole = "".join(parts.values())
    used = {name: text for name, text in images(spec).items() if f".images.{name} " in whole}
    return {"images": used, "parts": dict.fromkeys(sorted(map(_key, parts)), True)}


def images(spec: Spec) -> dict[str, str]:
    """Every image that a value may replace."""
    assert spec.deploy is not None  # refusals
    return {"gateway": spec.deploy.images.gateway, "ray": image(spec, "ray"), "vllm": image(spec, "vllm")}


def schema(shown: Mapping[str, Any]) -> Object:
    """The schema that Helm checks values by: no key that nothing reads."""
    kinds = {"images": {"type": "string", "pattern": "[:@]"}, "parts": {"type": "boolean"}}
    return {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(shown[name], kind),
            }
            for name, kind in kinds.items()
        },
    }


def guard(spec: Spec) -> str:
    """Names of Services hold the namespace: a release elsewhere would come up and not route."""
    wanted = names.namespace(spec)
    return (
        f'{{{{- if ne .Release.Namespace "{wanted}" }}}}\n'
        f'{{{{- fail "install it with --namespace {wanted}: it was rendered for that" }}}}\n'
        "{{- end }}\n"
    )


def templates(spec: Spec, files: Files) -> dict[str, str]:
    """Each file of manifests as a template, by its name without .yaml. The namespace is Helm's to make."""
    grouped: dict[str, list[Object]] = {}
    for document in files.manifests:
        if document.object["kind"] != "Namespace" and not document.is_kustomization:
            name = document.path.removeprefix(MANIFESTS).removesuffix(".yaml").replace("/", "-")
            grouped.setdefault(name, []).append(_marked(document.object, images(spec)))
    return {name: template(name, objects) for name, objects in grouped.items()}


def template(name: str, objects: list[Object]) -> str:
    """The objects as YAML that Helm reads as the same objects; what it would take for its own is quoted from it."""
    text = yaml.dump_all(objects).replace("{{", '{{ "{{" }}')
    text = MARK.sub(r"{{ .Values.\1 | quote }}", text)
    return f"{{{{- if .Values.parts.{_key(name)} }}}}\n{text}{{{{- end }}}}\n"


def _marked(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_marked(each, known) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: _marked(each, known) for name, each in value.items()}
    name = next((name for name, text in known.items() if found.get("image") == text), None)
    return {**found, "image": f"@@images.{name}@@"} if name else found


def _key(name: str) -> str:
    """A name that Helm's expressions can hold."""
    return name.replace("-", "_")
