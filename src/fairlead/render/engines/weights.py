"""A model's files are on a volume before its engine starts: the pinned ones, checked, fetched by an init container.

So an engine needs no token and no way to the internet, and every target serves the same bytes for the same source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairlead.render import kube, names
from fairlead.render.build import Object
from fairlead.render.engines.site import Site

VOLUME = "models"
FETCH = "fetch"
MEMORY = "1Gi"
FETCH_MOUNTS = ((VOLUME, names.MODEL_MOUNT), ("tmp", "/tmp"))  # noqa: S108 - the path inside the pod


def link(site: Site) -> str:
    """The name of the model's folder; another source has another name, so no pod's weights are changed under it."""
    return f"{names.slug(site.served)}-{names.short_digest(site.model.source)}"


def folder(site: Site) -> str:
    """Where the engine finds the model."""
    return f"{names.MODEL_MOUNT}/{link(site)}"


def is_hub(source: str) -> bool:
    """Whether it comes from the model hub, whose token it may need."""
    return source.startswith("hf://")


def fetcher(site: Site) -> Object:
    """The init container: `fairlead.engine.fetch` in the gateway's image."""
    assert site.spec.deploy is not None
    return kube.container(
        f"{FETCH}-{names.slug(site.served)}",
        site.spec.deploy.images.gateway,
        command=["python", "-m", "fairlead.engine.fetch"],
        args=[site.model.source, names.MODEL_MOUNT, link(site)],
        env=[*variables(site)],
        resources=kube.resources(cpu="1", memory=MEMORY),
        volumeMounts=[kube.mount(name, path) for name, path in FETCH_MOUNTS],
    )


def variables(site: Site) -> Iterator[Object]:
    """The hub's token, for a model of the hub."""
    yield kube.env("HOME", "/tmp")  # noqa: S108 - the path inside the pod
    if is_hub(site.model.source):
        yield kube.env_secret(names.HF_TOKEN, names.hub_secret(site.spec))


def volume(site: Site) -> Object:
    """Where the files are kept."""
    [found] = shared_volume([site])
    return found


def shared_volume(here: Sequence[Site]) -> Iterator[Object]:
    """One volume for the models of all that may run in a pod: the claim that all share, or one as old as the pod."""
    if not here:
        return
    if here[0].spec.deploy and here[0].spec.deploy.cache:
        yield {"name": VOLUME, "persistentVolumeClaim": {"claimName": names.model_cache(here[0].spec)}}
    else:
        yield kube.empty_dir(VOLUME, f"{sum(site.weights_gib for site in here)}Gi")
