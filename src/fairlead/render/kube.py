"""The parts that Kubernetes objects are made of, each a dict named after the field that it fills.

Pods keep the restricted profile of the pod security standards: no root, no privileges, no capabilities, the runtime's
seccomp profile, a root file system that cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.plan.service import Pool
from fairlead.render import names
from fairlead.render.build import Object
from fairlead.spec.types import Spec

USER = 10001  # of our images; any number that is no user of the node


def some(**fields: Any) -> Object:
    """The fields that are given: those that are None are left out."""
    return {name: value for name, value in fields.items() if value is not None}


def thing(api_version: str, kind: str, metadata: Object, **fields: Any) -> Object:
    """A whole object; `fields` that are None are left out."""
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **some(**fields)}


def metadata(
    spec: Spec,
    name: str,
    component: str,
    *,
    origin: str,
    model: str = "",
    annotations: Mapping[str, str] | None = None,
    namespaced: bool = True,
) -> Object:
    """Name, namespace, labels, and the part of the spec, `models.llama`, that the object was made of."""
    return some(
        name=name,
        namespace=names.namespace(spec) if namespaced else None,
        labels=names.labels(spec, component, model),
        annotations={names.ORIGIN: origin, **(annotations or {})},
    )


def service(metadata: Object, selector: Mapping[str, str], ports: Mapping[str, int], **fields: Any) -> Object:
    """A Service; `ports` by their names, which are those of the containers' ports."""
    listed = [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"} for name, port in ports.items()]
    return thing("v1", "Service", metadata, spec={"selector": dict(selector), "ports": listed, **fields})


def service_account(metadata: Object) -> Object:
    """A ServiceAccount whose token is not put into pods that do not ask for it."""
    return thing("v1", "ServiceAccount", metadata, automountServiceAccountToken=False)


def config_map(metadata: Object, data: Mapping[str, str]) -> Object:
    """A ConfigMap."""
    return thing("v1", "ConfigMap", metadata, data=dict(data))


def pod_template(spec: Spec, component: str, pod: Object, *, model: str = "", **annotations: str) -> Object:
    """A pod's template with the labels that `names.selector` finds it by."""
    return {
        "metadata": some(labels=names.labels(spec, component, model), annotations=annotations or None),
        "spec": pod,
    }


def container(name: str, image: str, *, ports: Mapping[str, int] | None = None, **fields: Any) -> Object:
    """A container that can do nothing but its work; `fields` replace what is said here."""
    listed = [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in (ports or {}).items()]
    return some(
        **{
            "name": name,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "ports": listed or None,
            "securityContext": container_security(),
            **fields,
        }
    )


def container_security(*, read_only: bool = True) -> Object:
    """The restricted profile for a container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": read_only,
        "runAsNonRoot": True,
    }


def pod_security(user: int = USER) -> Object:
    """The restricted profile for a pod; volumes belong to the pod's group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user,
        "runAsGroup": user,
        "fsGroup": user,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def resources(*, cpu: str, memory: str, gpus: int = 0, storage: str | None = None) -> Object:
    """Requests, and limits on what cannot be shared: memory, GPUs, disk. CPU is not limited: a limit only delays."""
    hard = some(memory=memory, **{"ephemeral-storage": storage, names.GPU_RESOURCE: str(gpus) if gpus else None})
    return {"requests": {"cpu": cpu, **hard}, "limits": hard}


def http_get(path: str, port: str | int) -> Object:
    """What a probe asks."""
    return {"httpGet": {"path": path, "port": port}}


def env(name: str, value: str) -> Object:
    """A variable in clear."""
    return {"name": name, "value": value}


def env_secret(name: str, secret: str, key: str | None = None) -> Object:
    """A variable out of a Secret, under its own name unless `key` is given."""
    return {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key or name}}}


def placed(pool: Pool) -> Object:
    """What puts a pod on a pool's nodes: the fields `nodeSelector` and, where they are tainted, `tolerations`."""
    return {"nodeSelector": dict(names.pool_selector(pool.name)), **some(tolerations=tolerations(pool) or None)}


def taints(pool: Pool) -> list[Object]:
    """The taints of a pool's nodes: its own, so that only who asks for it is there, the GPU's, and AKS' on spot nodes.

    AKS puts its own on every spot node and lets nobody take it away (learn.microsoft.com, aks/spot-node-pool).
    """
    found = []
    if pool.instance.gpus:
        found.append({"key": names.POOL, "value": pool.name, "effect": "NoSchedule"})
        found.append({"key": names.GPU_TAINT, "value": names.GPU_TAINT_VALUE, "effect": "NoSchedule"})
    if pool.spot and pool.instance.cloud == "Azure":
        found.append({"key": "kubernetes.azure.com/scalesetpriority", "value": "spot", "effect": "NoSchedule"})
    return found


def tolerations(pool: Pool) -> list[Object]:
    """One for each taint of the pool's nodes."""
    return [{**taint, "operator": "Equal"} for taint in taints(pool)]


def spread(
    selector: Mapping[str, str], *, zones: str = "ScheduleAnyway", nodes: str = "ScheduleAnyway"
) -> list[Object]:
    """Replicas over zones and nodes; `ScheduleAnyway` where a pod that is not spread is better than none."""
    return [
        {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": {"matchLabels": dict(selector)}}
        for key, when in (("topology.kubernetes.io/zone", zones), ("kubernetes.io/hostname", nodes))
    ]


def empty_dir(name: str, size: str, medium: str | None = None) -> Object:
    """A volume that lives as long as its pod."""
    return {"name": name, "emptyDir": some(medium=medium, sizeLimit=size)}


def mount(volume: str, path: str, *, read_only: bool = False) -> Object:
    """A volume's place in a container."""
    return some(name=volume, mountPath=path, readOnly=True if read_only else None)


def general_pool(pools: Sequence[Pool]) -> Pool:
    """The pool without GPUs, for the gateway and all that serves it; the first where there are several."""
    return next(pool for pool in pools if not pool.instance.gpus)
