"""What a source sent: texts of YAML or JSON become definitions, each with where it came from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import yaml

from fairlead.errors import UserError
from fairlead.schemas.crd import Crd, CrdError, crds

NEEDED = ("cel_expr_python", "jsonschema", "lightkube", "re2", "rfc3339_validator", "stamina")
"""The modules of the extra `schemas`."""


@dataclass(frozen=True, slots=True)
class Received:
    """A definition, the address that it came from, the version that its maker gives, SHA-256 of what was received."""

    crd: Crd
    address: str
    version: str
    sha256: str


class Loader(yaml.CSafeLoader):
    """Texts stay texts: a date or a lone `=` is none in Kubernetes' reading of YAML."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if not tag.endswith((":timestamp", ":value"))]
    for first, known in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def refuse_without_libraries() -> None:
    """Raise UserError where what reads and checks schemas is not installed."""
    if not installed():
        raise UserError("schemas need libraries that are not installed", hint="pip install 'fairlead[schemas]'")


def installed() -> bool:
    """Whether the extra `schemas` is there."""
    return all(find_spec(name) for name in NEEDED)


def received(content: bytes, address: str, version: str = "") -> Iterator[Received]:
    """The definitions in a file that was received. Raises UserError where it is not one."""
    sha256 = hashlib.sha256(content).hexdigest()
    try:
        for document in yaml.load_all(content, Loader=Loader):  # a safe loader, with fewer types
            yield from described(document, address, version, sha256)
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or error
        raise UserError(
            f"{address} is no YAML: {problem}", hint="is it the file itself, and not a page about it?"
        ) from None


def described(document: Any, address: str, version: str, sha256: str) -> Iterator[Received]:
    """The definitions of one document. Raises UserError for one that is none."""
    try:
        for crd in crds(document):
            yield Received(crd, address, version or crd.release, sha256)
    except CrdError as error:
        raise UserError(f"{address}: {error}") from None


def by_kind(found: Iterable[Received]) -> Mapping[tuple[str, str], Received]:
    """By group and kind. Raises UserError for none, and for a kind that two sources define differently."""
    made: dict[tuple[str, str], Received] = {}
    for each in found:
        identity = each.crd.group, each.crd.kind
        before = made.setdefault(identity, each)
        if before.crd != each.crd:
            message = (
                f"{each.crd.kind} of {each.crd.group} is defined differently by {before.address} and {each.address}"
            )
            raise UserError(message, hint="keep one of them")
    if not made:
        raise UserError(
            "no CustomResourceDefinition was found", hint="kubectl get crds -o yaml > crds.yaml writes them"
        )
    return made
