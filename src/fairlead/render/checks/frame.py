"""What a check looks at and what it says: each is a pure function over everything that is rendered together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fairlead.render import names
from fairlead.render.build import Build, Object
from fairlead.render.files import Document, Files
from fairlead.render.flows import Flow
from fairlead.render.workloads import Workload, workloads

CLUSTER_SCOPED = frozenset(
    ("Namespace", "PriorityClass", "ClusterRole", "ClusterRoleBinding", "ClusterServingRuntime", "StorageClass")
)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with an object; `document` None where it concerns none alone."""

    document: Document | None
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Rendering:
    """A build and its files, the connections that they need, and what the checks look up."""

    build: Build
    files: Files
    flows: Sequence[Flow]

    @cached_property
    def workloads(self) -> list[Workload]:
        """Everything that becomes pods."""
        return list(workloads(self.files.manifests))

    @cached_property
    def _by_key(self) -> Mapping[tuple[str, str, str], Document]:
        return {key(each.object, self.build): each for each in self.files.manifests}

    def find(self, kind: str, name: str, namespace: str | None = None) -> Document | None:
        """An object by its kind and name; in the service's namespace unless another is given."""
        scope = "" if kind in CLUSTER_SCOPED else namespace or names.namespace(self.build.spec)
        return self._by_key.get((kind, scope, name))

    def of_kind(self, *kinds: str) -> Iterator[Document]:
        """Every object of these kinds."""
        return (each for each in self.files.manifests if each.object.get("kind") in kinds)


Check = Callable[[Rendering], Iterator[Fault]]


def key(item: Object, build: Build) -> tuple[str, str, str]:
    """What an object is known by in a cluster: kind, namespace, name."""
    kind, metadata = item.get("kind", ""), item.get("metadata", {})
    namespace = "" if kind in CLUSTER_SCOPED else metadata.get("namespace") or names.namespace(build.spec)
    return kind, namespace, metadata.get("name", "")


def dig(value: Any, *steps: str | int) -> Any:
    """What stands at a path, or None where there is nothing."""
    for step in steps:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def listed(value: Any, *steps: str | int) -> list[Any]:
    """The list at a path; empty where there is none."""
    found = dig(value, *steps)
    return found if isinstance(found, list) else []
