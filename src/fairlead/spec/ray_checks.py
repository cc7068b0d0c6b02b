"""What no field of `ray` and of the models on it can see alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.addresses import is_loopback
from fairlead.spec.problems import Finding
from fairlead.spec.ray import Ray
from fairlead.spec.source import is_gguf
from fairlead.spec.types import AnyModel, RayModel, RemoteModel

OWN = ("python", "nodes", "cpus")  # what only a cluster that is started here has


def findings(ray: Ray | None, models: Mapping[str, AnyModel | None], *, plain_http: bool) -> Iterator[Finding]:
    """Contradictions. `plain_http`: whether the environment lets a token travel in clear beyond this host."""
    on_ray = {name: model for name, model in models.items() if isinstance(model, RayModel)}
    for name, model in on_ray.items():
        yield from _model(name, model, ray or Ray())
    if ray is None:
        return
    if all(isinstance(model, RemoteModel) for model in models.values()):
        yield Finding(("ray",), "nothing can run on it: every model is remote", "leave it out", at_key=True)
    yield from _joined(ray, plain_http=plain_http)


def _model(name: str, model: RayModel, ray: Ray) -> Iterator[Finding]:
    path = ("models", name)
    if is_gguf(model.source):
        yield Finding((*path, "source"), "vLLM is started on a folder of weights, not on a GGUF file", "use openvino")
    if ray.address and model.source.startswith("az://"):
        hint = "use hf://, s3://, gs://, or a folder that all nodes have"
        yield Finding((*path, "source"), "Ray's nodes fetch nothing from az://", hint)
    if model.scaling and model.scaling.max <= model.replicas:
        message = f"must be more than replicas ({model.replicas}), from which it scales"
        yield Finding((*path, "scaling", "max"), message, "or leave scaling out")
    if ray.nodes > 1 and ray.address is None and model.device == "gpu":
        yield Finding(("ray", "nodes"), f"nodes on one machine would count its GPUs twice ({name})", "use nodes: 1")


def _joined(ray: Ray, *, plain_http: bool) -> Iterator[Finding]:
    if ray.address is None:
        for field in ("serve_url", "token_env"):
            if getattr(ray, field):
                message = "has no effect on a cluster that is started here"
                yield Finding(("ray", field), message, "give address too, or leave it out", at_key=True)
        return
    if ray.serve_url is None:
        hint = "serve_url: where Ray Serve's proxy answers, for example http://ray-head:8000"
        yield Finding(("ray",), "a cluster that runs already has an address, but no serve_url", hint, at_key=True)
    for field in OWN:
        if field in ray.model_fields_set:
            message = "has no effect on a cluster that runs already"
            yield Finding(("ray", field), message, "leave it out", at_key=True)
    for field in ("address", "serve_url"):
        url = getattr(ray, field) or ""
        if url.startswith("http:") and not plain_http and not _is_here(url):
            yield Finding(("ray", field), "plain HTTP beyond this host is not for this environment", "use https://")


def _is_here(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return is_loopback(host.rpartition(":")[0] if ":" in host else host)
