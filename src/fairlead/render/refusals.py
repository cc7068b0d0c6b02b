"""What a laptop may do and a cluster cannot, refused before anything is rendered, each with its line of the file."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import names
from fairlead.render.delivery.pipelines import delivery_refusals
from fairlead.render.infrastructure.refusals import infrastructure_refusals
from fairlead.render.platform.secrets import wanted
from fairlead.spec.problems import Finding, nearest
from fairlead.spec.types import OpenVinoModel, RayModel, RemoteModel, Spec, VllmModel

LONGEST_NAME = 47
"""Of a RayService: KubeRay adds to it until the 63 characters of a label are used up (its validation.go)."""
LONGEST_SERVICE = LONGEST_NAME - names.LONGEST_SLUG - 1


def refusals(spec: Spec) -> list[Finding]:
    """Everything that keeps a spec from being rendered."""
    return [finding for check in _CHECKS for finding in check(spec)]


def _has_images(spec: Spec) -> Iterator[Finding]:
    if spec.deploy is None:
        hint = 'add deploy: {images: {gateway: "registry/name:version"}}'
        yield Finding((), "nothing says how it is deployed", hint)


def _engines_of_a_cluster(spec: Spec) -> Iterator[Finding]:
    for name, model in spec.models.items():
        if isinstance(model, OpenVinoModel):
            hint = "engine: vllm for GPUs, or engine: remote for a server that is there already"
            yield Finding(("models", name), "the embedded engine serves a laptop, not a cluster", hint, at_key=True)
        if isinstance(model, VllmModel) and model.device == "cpu":
            yield Finding(("models", name, "device"), "a cluster's engines are planned on GPUs", "device: gpu")
        if isinstance(model, RayModel):
            hint = "engine: vllm; the target kuberay makes a RayService of it"
            message = "`up` runs engine: ray; manifests are made of models with engine: vllm"
            yield Finding(("models", name), message, hint, at_key=True)


def _state_outlives_pods(spec: Spec) -> Iterator[Finding]:
    if spec.store is None or spec.store.postgres is None:
        message = "keys and usage would be gone with the gateway's pod"
        yield Finding(("store",), message, "add store: {postgres: {url_env: DATABASE_URL}}", at_key=True)


def _tls_ends_at_the_listener(spec: Spec) -> Iterator[Finding]:
    if spec.gateway.tls is not None:
        message = "in a cluster TLS ends at the Gateway's listener, with a certificate of cert-manager"
        hint = "leave it to the laptop: `tls: null` in the overlay of this environment"
        yield Finding(("gateway", "tls"), message, hint, at_key=True)


def _names_fit(spec: Spec) -> Iterator[Finding]:
    if not spec.name[0].isalpha() or len(spec.name) > LONGEST_SERVICE:
        message = f"Services are named after it: a letter first, and at most {LONGEST_SERVICE} characters"
        yield Finding(("name",), message, "choose a shorter name")
    owners: dict[str, str] = {}
    for model in spec.models:
        first = owners.setdefault(names.slug(model), model)
        if first != model:
            message = f"in a cluster it would be named like {first!r}: {names.slug(model)}"
            yield Finding(("models", model), message, "rename one of them", at_key=True)


def _secrets_come_from_somewhere(spec: Spec) -> Iterator[Finding]:
    if spec.deploy is not None and spec.deploy.secrets is None and wanted(spec):
        variables = ", ".join(sorted({name for each in wanted(spec).values() for name in each}))
        message = f"nothing says where the values of {variables} are"
        yield Finding(("deploy",), message, "add secrets: {store: NAME} with the cluster's store of External Secrets")


def _limits_are_shared(spec: Spec) -> Iterator[Finding]:
    if spec.deploy is None or spec.deploy.max_gateways is None:
        return
    path = ("deploy", "max_gateways")
    if spec.deploy.max_gateways < spec.gateway.replicas:
        yield Finding(path, f"less than gateway.replicas: {spec.gateway.replicas}", "give it as many at least")
    shared = spec.store is not None and spec.store.redis is not None
    if spec.deploy.max_gateways > 1 and not shared and (spec.limits or spec.budgets):
        message = f"each of {spec.deploy.max_gateways} gateways would give the whole of every limit and budget"
        yield Finding(path, message, "add store.redis, so that they share it")


def _schedules_are_for_models(spec: Spec) -> Iterator[Finding]:
    for name, schedule in (spec.deploy.schedules if spec.deploy else {}).items():
        for index, model in enumerate(schedule.models):
            placed = [each for each, its in spec.models.items() if not isinstance(its, RemoteModel)]
            if model not in placed:
                hint = nearest(model, placed, otherwise="models")
                yield Finding(("deploy", "schedules", name, "models", index), f"no model {model!r} is deployed", hint)
        if schedule.start == schedule.end:
            yield Finding(("deploy", "schedules", name, "end"), "it ends when it begins", "give it another time")


_CHECKS = (
    _secrets_come_from_somewhere,
    _limits_are_shared,
    _schedules_are_for_models,
    _has_images,
    _engines_of_a_cluster,
    _state_outlives_pods,
    _tls_ends_at_the_listener,
    _names_fit,
    infrastructure_refusals,
    delivery_refusals,
)
