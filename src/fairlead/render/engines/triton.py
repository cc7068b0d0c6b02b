"""Triton with the vLLM backend: a model repository in a ConfigMap, and a Deployment and a Service for each model.

Triton's own response cache is not turned on: it refuses decoupled models, which those of vLLM are (server docs,
user_guide/response_cache, limitations), and its OpenAI front end has no flag for it. The cache that it really has is
vLLM's, of prefixes, in `model.json`.
Sources: triton-inference-server 26.07 (python/openai, vllm_backend README and samples).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.render.cluster import Upstream
from fairlead.render.engines import pod, weights
from fairlead.render.engines.images import image
from fairlead.render.engines.settings import settings
from fairlead.render.engines.site import Site, file_of, sites
from fairlead.render.engines.vllm import strategy
from fairlead.spec.types import Spec

REPOSITORY = "/repository"
VOLUME = "repository"
FRONT_END = "/opt/tritonserver/python/openai/openai_frontend/main.py"
HEALTH_PATH = "/health/ready"
CONFIG, SETTINGS = "config.pbtxt", "model.json"


def triton(build: Build) -> Iterator[Part]:
    """Every placed model."""
    for site in sites(build):
        files = repository(site)
        yield file_of(site), kube.config_map(site.metadata(config_map(site, files)), files)
        yield file_of(site), kube.thing("apps/v1", "Deployment", site.metadata(), spec=deployment(site, files))
        yield file_of(site), kube.service(site.metadata(), site.selector, {names.HTTP: names.ENGINE_PORT})
        yield from ((path, text) for path, text in model_repository(site).items())


def upstream(spec: Spec, model: str) -> Upstream:
    """A Service of the model's own name. In Triton a model is called like its folder, which is the public name."""
    return Upstream(service=names.engine(spec, model), health_path=HEALTH_PATH)


def model_repository(site: Site) -> dict[str, str]:
    """The same repository as a folder, for an object store or for a Triton elsewhere."""
    files = repository(site)
    top = f"triton/{site.served}"
    return {f"{top}/{CONFIG}": files[CONFIG], f"{top}/1/{SETTINGS}": files[SETTINGS]}


def config_map(site: Site, files: Mapping[str, str]) -> str:
    """Its name changes with its content, so that a changed model is rolled out, and can be rolled back."""
    return f"{site.name}-repository-{names.short_digest(json.dumps(files, sort_keys=True))}"


def repository(site: Site) -> dict[str, str]:
    """The two files of a model."""
    told = {"model": weights.folder(site), **settings(site)}
    return {CONFIG: config_text(site), SETTINGS: json.dumps(told, indent=2, sort_keys=True) + "\n"}


def config_text(site: Site) -> str:
    """config.pbtxt: protobuf's text format. vLLM is one instance, that takes the GPUs it wants by itself."""
    fields: list[tuple[str, Any]] = [
        ("name", site.served),
        ("backend", "vllm"),
        ("instance_group", [[("count", 1), ("kind", Word("KIND_MODEL"))]]),
        ("parameters", [[("key", "REPORT_CUSTOM_METRICS"), ("value", [("string_value", "true")])]]),
    ]
    return "".join(f"{line}\n" for line in text_format(fields))


class Word(str):
    """A word of the format's own, which is not quoted."""


def text_format(fields: list[tuple[str, Any]], indent: str = "") -> Iterator[str]:
    """Messages are lists of fields, repeated ones lists of messages; texts are quoted as JSON quotes them."""
    for name, value in fields:
        if isinstance(value, list) and value and isinstance(value[0], list):
            for message in value:
                yield from text_format([(name, message)], indent)
        elif isinstance(value, list):
            yield f"{indent}{name} {{"
            yield from text_format(value, indent + "  ")
            yield f"{indent}}}"
        else:
            shown = value if isinstance(value, Word) else json.dumps(value)
            yield f"{indent}{name}: {shown}"


def deployment(site: Site, files: Mapping[str, str]) -> Object:
    """The Deployment's spec."""
    pods = pod.pod(site, [server(site)])
    pods["volumes"] = [*pods["volumes"], {"name": VOLUME, "configMap": {"name": config_map(site, files)}}]
    return kube.some(
        replicas=site.fixed_replicas,
        selector={"matchLabels": dict(site.selector)},
        strategy=strategy(site),
        progressDeadlineSeconds=pod.progress_deadline_s(site),
        template=kube.pod_template(site.spec, names.ENGINE, pods, model=site.served),
    )


def server(site: Site) -> Object:
    """Triton's OpenAI front end. The two files are mounted one by one: as a whole a ConfigMap is full of links, which
    Triton would take for models."""
    top = f"{REPOSITORY}/{site.served}"
    places = {CONFIG: f"{top}/{CONFIG}", SETTINGS: f"{top}/1/{SETTINGS}"}
    own = [{**kube.mount(VOLUME, path, read_only=True), "subPath": key} for key, path in places.items()]
    return pod.server(
        site,
        image=image(site.spec, "triton"),
        command=["python3", FRONT_END],
        args=arguments(site),
        volumeMounts=[*pod.mounts(), *own],
        **pod.probes(site, path=HEALTH_PATH),
    )


def arguments(site: Site) -> list[str]:
    """Its command line. The tokenizer is the model's own folder: a name on the hub could not say a revision."""
    return [
        f"--model-repository={REPOSITORY}",
        f"--tokenizer={weights.folder(site)}",
        "--backend=vllm",
        "--host=0.0.0.0",
        f"--openai-port={names.ENGINE_PORT}",
        "--uvicorn-log-level=warning",
    ]
