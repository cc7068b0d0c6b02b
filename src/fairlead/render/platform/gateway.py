"""The gateway in the cluster: Deployment, Service, ServiceAccount, and its `gateway.json` in a ConfigMap."""

from __future__ import annotations

from collections.abc import Iterator

from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.render.gateway import gateway_text
from fairlead.render.platform.scaling import gateways
from fairlead.render.platform.secrets import gateway_variables
from fairlead.spec.types import Spec

FILE = "manifests/gateway.yaml"
CONFIG_VOLUME = "config"
STATE_VOLUME = "state"
TMP_VOLUME = "tmp"
CPU = "1"  # an asyncio loop fills one core; the shipper beside it takes a few per cent
MEMORY = "512Mi"  # measured 23 MiB; the rest is for connections, bodies, and answers kept for their Idempotency-Key
STATE_SIZE = "2Gi"
TMP_SIZE = "64Mi"
CLOSE_AFTER_S = 5  # endpoints learn of a pod's end only after its SIGTERM: it takes requests a little longer
SPARE_S = 10  # above the drain, for the shipper's last round


def gateway(build: Build) -> Iterator[Part]:
    """All that makes the gateway run, in one file."""
    spec = build.spec
    meta = kube.metadata(spec, names.gateway(spec), names.GATEWAY, origin="gateway")
    yield FILE, kube.service_account(meta)
    yield FILE, config(build)
    yield FILE, kube.thing("apps/v1", "Deployment", meta, spec=deployment(build))
    ports = {names.HTTP: names.GATEWAY_PORT, names.METRICS: names.ADMIN_PORT}
    yield FILE, kube.service(meta, names.selector(spec, names.GATEWAY), ports)


def config(build: Build) -> Object:
    """`gateway.json`. A change reaches running pods by itself, within a minute: the gateway watches the file."""
    spec = build.spec
    meta = kube.metadata(spec, names.gateway_config(spec), names.GATEWAY, origin="gateway")
    return kube.config_map(meta, {names.CONFIG_FILE: gateway_text(build.gateway)})


def deployment(build: Build) -> Object:
    """The Deployment's spec. No pod goes before its successor answers."""
    spec = build.spec
    least, most = gateways(spec)
    return {
        **({} if most > least else {"replicas": least}),  # an HPA's number is not ours to set again
        "selector": {"matchLabels": names.selector(spec, names.GATEWAY)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": kube.pod_template(spec, names.GATEWAY, pod(build)),
    }


def pod(build: Build) -> Object:
    """The pod's spec. What is not shipped yet stands in `state`, which outlives a container but not its node."""
    spec = build.spec
    return {
        "serviceAccountName": names.gateway(spec),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "priorityClassName": names.priority(spec, names.GATEWAY),
        "securityContext": kube.pod_security(),
        **kube.placed(kube.general_pool(build.plan.pools)),
        "topologySpreadConstraints": kube.spread(names.selector(spec, names.GATEWAY)),
        "terminationGracePeriodSeconds": int(spec.gateway.drain_timeout) + CLOSE_AFTER_S + SPARE_S,
        "containers": [container(build)],
        "volumes": [
            {"name": CONFIG_VOLUME, "configMap": {"name": names.gateway_config(spec)}},
            kube.empty_dir(STATE_VOLUME, STATE_SIZE),
            kube.empty_dir(TMP_VOLUME, TMP_SIZE),
        ],
    }


def container(build: Build) -> Object:
    """The gateway's process. It is killed only when its loop no longer turns, and gets requests only when ready."""
    spec = build.spec
    assert spec.deploy is not None
    return kube.container(
        names.GATEWAY,
        spec.deploy.images.gateway,
        command=["python", "-m", "fairlead.gateway", f"{names.CONFIG_MOUNT}/{names.CONFIG_FILE}"],
        ports={names.HTTP: names.GATEWAY_PORT, names.METRICS: names.ADMIN_PORT},
        env=variables(spec) or None,
        resources=kube.resources(cpu=CPU, memory=MEMORY),
        volumeMounts=[
            kube.mount(CONFIG_VOLUME, names.CONFIG_MOUNT, read_only=True),
            kube.mount(STATE_VOLUME, names.STATE_MOUNT),
            kube.mount(TMP_VOLUME, "/tmp"),  # noqa: S108 - the path inside the pod
        ],
        startupProbe={**kube.http_get("/healthz", names.METRICS), "periodSeconds": 2, "failureThreshold": 60},
        livenessProbe={**kube.http_get("/healthz", names.METRICS), "periodSeconds": 10, "timeoutSeconds": 5},
        readinessProbe={**kube.http_get("/readyz/gateway", names.METRICS), "periodSeconds": 5, "failureThreshold": 2},
        lifecycle={"preStop": {"sleep": {"seconds": CLOSE_AFTER_S}}},
    )


def variables(spec: Spec) -> list[Object]:
    """What the gateway reads from its environment, each out of its Secret."""
    return [kube.env_secret(name, names.gateway_secret(spec)) for name in gateway_variables(spec)]
