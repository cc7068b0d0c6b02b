"""What a laptop may do and a cluster cannot, refused before anything is rendered, each with its line of the file."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import names
from fairlead.spec.problems import Finding
from fairlead.spec.types import OpenVinoModel, Spec

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


_CHECKS = (_has_images, _engines_of_a_cluster, _state_outlives_pods, _tls_ends_at_the_listener, _names_fit)
