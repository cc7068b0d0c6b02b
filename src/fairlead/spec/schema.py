"""The JSON Schema (2020-12) of `fairlead.yaml`, made from the types: an editor knows what the loader knows."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, TypeAdapter

from fairlead.spec import overlay
from fairlead.spec.batches import Batches
from fairlead.spec.consumption import Budget, Fairness, Idempotency, Price, RateLimit
from fairlead.spec.delivery import ArgoCd, Delivery
from fairlead.spec.deploy import Backup, Cache, Deploy, Images, Ingress, Override, Reach, Schedule, Secrets
from fairlead.spec.engines import Disaggregation, KServe, LlmD, RayCluster
from fairlead.spec.infrastructure import Infrastructure
from fairlead.spec.jobs import Job
from fairlead.spec.monitoring import Mail, Monitoring, PagerDuty, Receivers, Slack
from fairlead.spec.planning import Autoscaling, Hardware, HourPrices, NodePool, Slo, Workload
from fairlead.spec.profiles import PROFILES
from fairlead.spec.ray import Ray, RayScaling
from fairlead.spec.store import Postgres, Redis, Store
from fairlead.spec.types import ENGINES, Access, Gateway, Jwt, Keys, Limits, Retry, Role, Route, Spec, Tls

DIALECT = "https://json-schema.org/draft/2020-12/schema"
PARTS: tuple[type[BaseModel], ...] = (
    *(Spec, *ENGINES.values(), Route, Access, Keys, Jwt, Role, Gateway, Retry, Limits, Tls),
    *(RateLimit, Price, Budget, Fairness, Idempotency),
    *(Hardware, NodePool, HourPrices, Workload, Slo, Autoscaling),
    *(Store, Postgres, Redis, Batches),
    *(Deploy, Images, Ingress, Secrets, Cache, Schedule, Job, Backup, Reach, Override),
    *(Monitoring, Receivers, Slack, PagerDuty, Mail),
    *(Ray, RayScaling),
    *(RayCluster, KServe, LlmD, Disaggregation),
    *(Infrastructure, Delivery, ArgoCd),
)


def json_schema() -> dict[str, Any]:
    """The schema of a whole file, overlays included."""
    schema = Spec.model_json_schema()
    parts = {**schema.pop("$defs"), "Spec": schema}
    for part in PARTS:
        _write_defaults_as_text(parts[part.__name__], part)
    _relax_what_profiles_fill(parts)
    parts |= {f"{name}Overlay": _overlay(part) for name, part in copy.deepcopy(parts).items()}
    whole = parts.pop("Spec")
    for fixed in overlay.FIXED:
        parts["SpecOverlay"]["properties"].pop(fixed, None)
    whole["properties"][overlay.KEY] = {
        "type": "object",
        "description": "What differs by environment: mappings merge, lists and values replace, null deletes.",
        "additionalProperties": {"$ref": "#/$defs/SpecOverlay"},
    }
    return {"$schema": DIALECT, **_without_titles(whole), "title": "fairlead.yaml", "$defs": _without_titles(parts)}


def _write_defaults_as_text(schema: dict[str, Any], part: type[BaseModel]) -> None:
    """`90d`, and not a number of seconds that the file would refuse; none where the default is another field's."""
    for name, field in part.model_fields.items():
        shown = schema["properties"][name]
        if field.is_required() or field.default is None or isinstance(field.default, BaseModel):
            shown.pop("default", None)
        else:
            adapter = TypeAdapter[Any](field.rebuild_annotation())
            shown["default"] = adapter.dump_python(field.get_default(call_default_factory=True), mode="json")


def _relax_what_profiles_fill(parts: dict[str, dict[str, Any]]) -> None:
    """A laptop's file may leave the roles out."""
    if any(profile.default_role for profile in PROFILES.values()):
        parts["Spec"]["required"].remove("access")
        parts["Access"].pop("required")


def _overlay(schema: dict[str, Any]) -> dict[str, Any]:
    """The same part when only differences are written: nothing is required, and null deletes."""
    schema = _pointing_to_overlays(schema)
    schema.pop("required", None)
    for name, value in schema["properties"].items():
        value.pop("default", None)
        schema["properties"][name] = {"anyOf": [value, {"type": "null"}], "description": value.get("description", "")}
    return schema


def _pointing_to_overlays(node: Any) -> Any:
    if isinstance(node, list):
        return [_pointing_to_overlays(item) for item in node]
    if not isinstance(node, dict):
        return node
    return dict(_overlay_items(node))


def _overlay_items(node: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if key == "$ref":
            yield key, f"{value}Overlay"
        elif key == "oneOf":  # several engines may fit what an overlay says of a model
            yield "anyOf", [*_pointing_to_overlays(value), {"type": "null"}]
        elif key == "additionalProperties" and isinstance(value, dict):  # a pool, a role, a price
            yield key, {"anyOf": [_pointing_to_overlays(value), {"type": "null"}]}
        else:
            yield key, _pointing_to_overlays(value)


def _without_titles(node: Any) -> Any:
    """Pydantic's titles repeat the keys."""
    if isinstance(node, list):
        return [_without_titles(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        key: _without_titles(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))
    }
