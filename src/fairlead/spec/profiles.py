"""An environment is a few defaults and rules, all in this table; what the user writes wins over a default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead.spec.types import DEFAULT_ENGINE, Environment


@dataclass(frozen=True, slots=True)
class Profile:
    """What an environment means where the file says nothing, and what it refuses."""

    replicas: int
    key_max_age: str
    drain_timeout: str
    default_role: bool  # without any role, `user` may use every model
    demo_source: bool  # the demo model may be served
    plain_http: bool  # a remote model beyond this host and cluster may be called without TLS


PROFILES: Mapping[Environment, Profile] = {
    "laptop": Profile(1, "365d", "10s", default_role=True, demo_source=True, plain_http=True),
    "staging": Profile(1, "90d", "30s", default_role=False, demo_source=True, plain_http=False),
    "production": Profile(2, "90d", "30s", default_role=False, demo_source=False, plain_http=False),
}


def profile_of(values: Mapping[str, Any]) -> Profile:
    """The profile that a file asks for. A wrong name is told by the field itself: here it counts as a laptop."""
    named = values.get("environment")
    return next((profile for name, profile in PROFILES.items() if name == named), PROFILES["laptop"])


def with_defaults(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with the profile's defaults where nothing is written; what is malformed stays as it is."""
    profile = profile_of(values)
    access = _filled(values.get("access", {}), "keys", {})
    if isinstance(access, dict):
        access["keys"] = _filled(access["keys"], "max_age", profile.key_max_age)
    if profile.default_role:
        access = _filled(access, "roles", {"user": {"models": ["*"]}})
    return {
        **values,
        "models": _models(values.get("models"), profile),
        "access": access,
        "gateway": _filled(values.get("gateway", {}), "drain_timeout", profile.drain_timeout),
    }


def _models(models: Any, profile: Profile) -> Any:
    if not isinstance(models, dict):
        return models
    return {name: _model(model, profile) for name, model in models.items()}


def _model(model: Any, profile: Profile) -> Any:
    model = _filled(model, "engine", DEFAULT_ENGINE)
    counts_itself = isinstance(model, dict) and (model["engine"] == "remote" or model.get("workload") is not None)
    return model if counts_itself else _filled(model, "replicas", profile.replicas)


def _filled(part: Any, key: str, default: Any) -> Any:
    return {key: default, **part} if isinstance(part, dict) else part
