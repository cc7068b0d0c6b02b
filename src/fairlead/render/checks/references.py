"""What a pod names is there: ConfigMaps and their keys, Secrets and their keys, accounts, claims, classes, volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.render.build import Object
from fairlead.render.checks.frame import Fault, Rendering, dig, listed
from fairlead.render.checks.provided import secret_keys
from fairlead.render.workloads import Workload
from fairlead.spec.problems import nearest

WRITTEN_BY_OPERATORS = frozenset(("InferenceService", "LLMInferenceService"))
"""Kinds whose pods get containers, accounts and volumes from an operator's own templates."""


def config_maps(rendering: Rendering) -> Iterator[Fault]:
    """Each ConfigMap that a pod mounts or reads is rendered, and has the keys that are asked for."""
    for workload, where, name, keys in _sources(rendering, "configMap", "configMapKeyRef", "name"):
        found = rendering.find("ConfigMap", name, workload.namespace)
        if found is None:
            yield Fault(
                workload.document, f"{where}: there is no ConfigMap {name!r}", _known(rendering, "ConfigMap", name)
            )
            continue
        known = {**(found.object.get("data") or {}), **(found.object.get("binaryData") or {})}
        for key in keys - known.keys():
            message = f"{where}: ConfigMap {name!r} has no key {key!r}"
            yield Fault(workload.document, message, nearest(key, known, otherwise="keys"))


def mounted_files(rendering: Rendering) -> Iterator[Fault]:
    """A file that a command names below a mounted ConfigMap is one of its keys."""
    for workload in rendering.workloads:
        volumes = {volume["name"]: dig(volume, "configMap", "name") for volume in listed(workload.pod, "volumes")}
        for container in workload.containers:
            for mount in listed(container, "volumeMounts"):
                found = rendering.find("ConfigMap", volumes.get(mount["name"]) or "", workload.namespace)
                if found is None or mount.get("subPath"):
                    continue
                folder = mount["mountPath"].rstrip("/") + "/"
                words = [*listed(container, "command"), *listed(container, "args")]
                for word in words:
                    file = str(word).partition("=")[2] if "=" in str(word) else str(word)
                    key = file.removeprefix(folder)
                    if file.startswith(folder) and key not in (found.object.get("data") or {}):
                        message = (
                            f"{container['name']}: {file} is no key of ConfigMap {found.object['metadata']['name']!r}"
                        )
                        yield Fault(
                            workload.document, message, nearest(key, found.object.get("data") or {}, otherwise="keys")
                        )


def secrets(rendering: Rendering) -> Iterator[Fault]:
    """Each Secret that a pod reads is made by an ExternalSecret or a Certificate, with the key that is asked for."""
    for workload, where, name, keys in _sources(rendering, "secret", "secretKeyRef", "secretName"):
        known = secret_keys(rendering, name, workload.namespace)
        if known is None:
            yield Fault(
                workload.document,
                f"{where}: nothing makes a Secret {name!r}",
                _known(rendering, "ExternalSecret", name),
            )
            continue
        for key in keys - known:
            yield Fault(
                workload.document, f"{where}: Secret {name!r} has no key {key!r}", nearest(key, known, otherwise="keys")
            )


def accounts(rendering: Rendering) -> Iterator[Fault]:
    """A pod's ServiceAccount and PriorityClass are rendered."""
    for workload in rendering.workloads:
        account, priority = workload.pod.get("serviceAccountName"), workload.pod.get("priorityClassName")
        if account and rendering.find("ServiceAccount", account, workload.namespace) is None:
            hint = _known(rendering, "ServiceAccount", account)
            yield Fault(workload.document, f"there is no ServiceAccount {account!r}", hint)
        if priority and not priority.startswith("system-") and rendering.find("PriorityClass", priority) is None:
            hint = _known(rendering, "PriorityClass", priority)
            yield Fault(workload.document, f"there is no PriorityClass {priority!r}", hint)


def claims(rendering: Rendering) -> Iterator[Fault]:
    """A claim that pods name is rendered, and can be mounted by as many pods as there may be."""
    users: dict[str, list[Workload]] = {}
    for workload in rendering.workloads:
        for volume in listed(workload.pod, "volumes"):
            name = dig(volume, "persistentVolumeClaim", "claimName")
            if name:
                users.setdefault(name, []).append(workload)
    for name, workloads in users.items():
        claim = rendering.find("PersistentVolumeClaim", name, workloads[0].namespace)
        if claim is None:
            hint = _known(rendering, "PersistentVolumeClaim", name)
            yield Fault(workloads[0].document, f"there is no PersistentVolumeClaim {name!r}", hint)
            continue
        pods = sum(workload.maximum for workload in workloads)
        if "ReadWriteMany" not in listed(claim.object, "spec", "accessModes") and pods > 1:
            message = f"up to {pods} pods mount it, and its access mode lets it be on one node only"
            yield Fault(claim, message, "access: ReadWriteMany, with a storage class of a shared file system")


def volumes(rendering: Rendering) -> Iterator[Fault]:
    """Every mount has its volume and every volume its mount; no two mounts of a container share a path."""
    for workload in rendering.workloads:
        if workload.document.object["kind"] in WRITTEN_BY_OPERATORS:
            continue
        declared = {volume["name"] for volume in listed(workload.pod, "volumes")}
        used: set[str] = set()
        for container in _containers(workload):
            paths = [mount["mountPath"] for mount in listed(container, "volumeMounts")]
            mounted = {mount["name"] for mount in listed(container, "volumeMounts")}
            used |= mounted
            for name in sorted(mounted - declared):
                yield Fault(
                    workload.document, f"{container['name']}: there is no volume {name!r}", nearest(name, declared)
                )
            for path in sorted({path for path in paths if paths.count(path) > 1}):
                yield Fault(workload.document, f"{container['name']}: two volumes at {path}", "give one another path")
        for name in sorted(declared - used):
            yield Fault(workload.document, f"no container mounts the volume {name!r}", "mount it, or leave it out")


def ports(rendering: Rendering) -> Iterator[Fault]:
    """A probe that asks a port by its name asks one that its container has."""
    for workload in rendering.workloads:
        for container in _containers(workload):
            named = {port.get("name") for port in listed(container, "ports")}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                for handler in ("httpGet", "tcpSocket"):
                    port = dig(container, probe, handler, "port")
                    if isinstance(port, str) and port not in named:
                        message = f"{container['name']}: {probe} asks the port {port!r}, which it does not have"
                        yield Fault(workload.document, message, nearest(port, filter(None, named), otherwise="ports"))


def _sources(
    rendering: Rendering, volume_field: str, env_field: str, name_field: str
) -> Iterator[tuple[Workload, str, str, set[str]]]:
    """Every place where pods refer to an object by name: where, its name, and the keys that are asked for."""
    for workload in rendering.workloads:
        for volume in listed(workload.pod, "volumes"):
            for source in [volume, *listed(volume, "projected", "sources")]:
                named = source.get(volume_field)
                if isinstance(named, Mapping) and not named.get("optional"):
                    name = named.get(name_field) or named.get("name") or ""
                    yield (
                        workload,
                        f"volume {volume.get('name')}",
                        name,
                        {item["key"] for item in listed(named, "items")},
                    )
        for container in _containers(workload):
            for variable in listed(container, "env"):
                named = dig(variable, "valueFrom", env_field)
                if isinstance(named, Mapping) and not named.get("optional"):
                    where = f"{container.get('name')}: {variable.get('name')}"
                    yield workload, where, named.get("name", ""), {named.get("key", "")}


def _containers(workload: Workload) -> list[Object]:
    started: list[Any] = listed(workload.pod, "initContainers")
    return [*started, *workload.containers]


def _known(rendering: Rendering, kind: str, name: str) -> str:
    return nearest(
        name, (document.object["metadata"]["name"] for document in rendering.of_kind(kind)), otherwise="there are"
    )
