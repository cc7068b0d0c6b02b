"""The pod of a vLLM server: plain vLLM and llm-d run the same one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fairlead.render import kube, names
from fairlead.render.build import Object
from fairlead.render.engines import room, weights
from fairlead.render.engines.images import image
from fairlead.render.engines.settings import flags, settings
from fairlead.render.engines.site import CLOSE_AFTER_S, PROBE_EVERY_S, Site

SHM_VOLUME = "shm"
SCRATCH_VOLUME = "scratch"
TMP_VOLUME = "tmp"
SCRATCH_MOUNT = "/scratch"
SCRATCH_SIZE = "8Gi"  # compiled kernels
TMP_SIZE = "2Gi"
HEALTH_PATH = "/health"
LOAD_S = 1800  # for the model's files to arrive on a node that does not have them yet


def pod(site: Site, containers: Sequence[Object], *, init: Sequence[Object] = (), **fields: object) -> Object:
    """The pod's spec. No variables of Services: one called `vllm` would overwrite VLLM_PORT."""
    return {
        "serviceAccountName": names.engine_account(site.spec),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": names.priority(site.spec, names.ENGINE),
        "securityContext": kube.pod_security(),
        **kube.placed(site.pool),
        "topologySpreadConstraints": kube.spread(site.selector),
        "terminationGracePeriodSeconds": site.grace_s,
        "initContainers": [weights.fetcher(site), *init],
        "containers": list(containers),
        "volumes": [*volumes(site)],
        **fields,
    }


def volumes(site: Site) -> Iterator[Object]:
    """The model, shared memory, and what an engine writes."""
    yield weights.volume(site)
    yield kube.empty_dir(SHM_VOLUME, room.shm_size(site), medium="Memory")
    yield kube.empty_dir(SCRATCH_VOLUME, SCRATCH_SIZE)
    yield kube.empty_dir(TMP_VOLUME, TMP_SIZE)


def server(
    site: Site, *, port: int = names.ENGINE_PORT, more: Sequence[str] = (), env: Sequence[Object] = (), **fields: object
) -> Object:
    """vLLM's container; `more` words for its command line, `env` variables and `fields` are added."""
    return kube.container(
        **{
            "name": names.ENGINE,
            "image": image(site.spec, "vllm"),
            "command": ["vllm", "serve", weights.folder(site)],
            "args": [*arguments(site, port), *more],
            "ports": {names.HTTP: port},
            "env": [*variables(), *env],
            "resources": room.resources(site),
            "volumeMounts": [*mounts()],
            **probes(site),
            "lifecycle": {"preStop": {"sleep": {"seconds": CLOSE_AFTER_S}}},
            **fields,
        },
    )


def arguments(site: Site, port: int) -> list[str]:
    """vLLM's command line after the model. Usage tells cached tokens, which the ledger bills by."""
    return [
        f"--served-model-name={site.served}",
        f"--port={port}",
        *flags(settings(site)),
        "--enable-prompt-tokens-details",
        "--disable-uvicorn-access-log",
        f"--shutdown-timeout={site.drain_s}",
    ]


def variables() -> Iterator[Object]:
    """A home that can be written, a user that is in no passwd file, and nothing that phones anywhere."""
    yield kube.env("DO_NOT_TRACK", "1")
    yield kube.env("HF_HUB_OFFLINE", "1")
    yield kube.env("HOME", SCRATCH_MOUNT)
    yield kube.env("USER", names.MANAGED_BY)  # torch asks for the user's name: vllm issue 44548
    yield kube.env("VLLM_NO_USAGE_STATS", "1")


def mounts() -> Iterator[Object]:
    """Where the volumes stand."""
    yield kube.mount(weights.VOLUME, names.MODEL_MOUNT, read_only=True)
    yield kube.mount(SHM_VOLUME, names.SHM_MOUNT)
    yield kube.mount(SCRATCH_VOLUME, SCRATCH_MOUNT)
    yield kube.mount(TMP_VOLUME, "/tmp")  # noqa: S108 - the path inside the pod


def probes(site: Site, *, path: str = HEALTH_PATH, port: str | int = names.HTTP) -> Object:
    """Starting may take minutes; then an engine that is stuck for a minute is started again."""
    asked = kube.http_get(path, port)
    return {
        "startupProbe": {
            **asked, "periodSeconds": PROBE_EVERY_S, "timeoutSeconds": 5, "failureThreshold": site.startup_probes
        },
        "livenessProbe": {**asked, "periodSeconds": PROBE_EVERY_S, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {**asked, "periodSeconds": 5, "timeoutSeconds": 3, "failureThreshold": 3},
    }  # fmt: skip


def progress_deadline_s(site: Site) -> int:
    """How long a rollout may stand still: files arrive, and the slowest start that the probe lets pass."""
    return LOAD_S + site.startup_probes * PROBE_EVERY_S
