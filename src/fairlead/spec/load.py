"""A file becomes a `Spec` or a list of everything that is wrong with it, each with its line; never one and a half."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from fairlead.errors import Problem, UserError
from fairlead.spec import overlay, variables, yaml
from fairlead.spec.consumption import Budget, Fairness, Price, RateLimit
from fairlead.spec.crosscheck import crosscheck
from fairlead.spec.deploy import Backup, Cache, Deploy, Images, Ingress, Override, Reach, Schedule, Secrets
from fairlead.spec.engines import Disaggregation, KServe, LlmD, RayCluster
from fairlead.spec.instead import on_ray
from fairlead.spec.monitoring import Mail, Monitoring, PagerDuty, Receivers, Slack
from fairlead.spec.planning import Autoscaling, Hardware, HourPrices, NodePool, Slo, Workload
from fairlead.spec.problems import Finding, Path, dotted, from_pydantic
from fairlead.spec.profiles import with_defaults
from fairlead.spec.ray import Ray, RayScaling
from fairlead.spec.store import Postgres, Redis, Store
from fairlead.spec.types import ENGINES, Access, Gateway, Jwt, Keys, Limits, Retry, Role, Route, Spec, Tls, engine_of
from fairlead.spec.yaml import Document

Environ = Mapping[str, str]


def load(
    path: str | FilePath,
    environment: str | None = None,
    *,
    environ: Environ | None = None,
    engine: Literal["ray"] | None = None,
) -> Spec:
    """The spec in the file, for one environment. Raises `UserError` with all problems at once.

    Its texts keep their `${VAR}`. With `environ` every variable has to be set, and to hold what its field takes.
    `engine`: what the models that are started here run on, whatever the file says.
    """
    return resolve(read(path), environment, environ=environ, engine=engine)


def read(path: str | FilePath) -> Document:
    """The file's plain values and positions, before any meaning."""
    try:
        with FilePath(path).open("rb") as file:
            content = file.read(yaml.MAX_BYTES + 1)
    except FileNotFoundError:
        raise UserError("there is no such file", where=str(path), hint="`fairlead init` writes one") from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"not UTF-8: byte {error.start}", where=str(path)) from None
    return yaml.parse(text, file=str(path))


def resolve(
    document: Document,
    environment: str | None = None,
    *,
    environ: Environ | None = None,
    engine: Literal["ray"] | None = None,
) -> Spec:
    """The spec that a document means in one environment."""
    resolved, findings = overlay.resolve(document, environment)
    if engine is not None:
        resolved = on_ray(resolved)
    values = with_defaults(resolved.values)
    spec: Spec | None = None
    try:
        spec = Spec.model_validate(values)
    except ValidationError as error:
        findings += _findings(error, values)
    findings += crosscheck(values)
    findings += variables.unresolvable(values, environ)
    if environ is not None and not findings:
        findings += variables.invalid(values, environ)
    if findings or spec is None:
        raise UserError(problems=located(findings, resolved))
    return spec


def check(path: str | FilePath, environment: str | None = None, *, environ: Environ | None = None) -> Spec:
    """Like `load`; without an environment every overlay of the file has to hold as well."""
    document = read(path)
    if environment is not None:
        return resolve(document, environment, environ=environ)
    problems: dict[Problem, None] = {}
    specs: list[Spec] = []
    for name in (None, *overlay.names(document)):
        try:
            specs.append(resolve(document, name, environ=environ))
        except UserError as error:
            problems |= dict.fromkeys(error.problems)
    if problems:
        raise UserError(problems=sorted(problems, key=_line))
    return specs[0]


def _findings(error: ValidationError, values: dict[str, Any]) -> list[Finding]:
    """Each error once: a list that is too short because its items are wrong is told by its items."""
    details = error.errors(include_url=False)
    told = [detail["loc"] for detail in details]
    return [
        _finding(detail, values)
        for detail, location in zip(details, told, strict=True)
        if detail["type"] != "too_short" or not any(location == other[:-1] for other in told)
    ]


def _finding(detail: Any, values: dict[str, Any]) -> Finding:
    """Pydantic puts the engine's name into the location of what stands in a model, and marks keys: take both out."""
    location: Path = tuple(step for step in detail["loc"] if step != "[key]")
    if location[0] == "models" and len(location) > 2 and location[2] in ENGINES:
        location = (*location[:2], *location[3:])
    return from_pydantic(detail, location, _owner(location[:-1], values))


# the part of the spec at each place; names that the user chose are "*"
_PARTS: dict[Path, type[BaseModel]] = {
    (): Spec,
    ("routes", "*"): Route,
    ("access",): Access,
    ("access", "keys"): Keys,
    ("access", "jwt"): Jwt,
    ("access", "roles", "*"): Role,
    ("limits", "*"): RateLimit,
    ("prices", "*"): Price,
    ("budgets", "*"): Budget,
    ("fairness",): Fairness,
    ("hardware",): Hardware,
    ("hardware", "pools", "*"): NodePool,
    ("hardware", "prices", "*"): HourPrices,
    ("models", "*", "workload"): Workload,
    ("models", "*", "slo"): Slo,
    ("models", "*", "autoscaling"): Autoscaling,
    ("store",): Store,
    ("store", "postgres"): Postgres,
    ("store", "redis"): Redis,
    ("gateway",): Gateway,
    ("gateway", "retry"): Retry,
    ("gateway", "limits"): Limits,
    ("gateway", "tls"): Tls,
    ("monitoring",): Monitoring,
    ("monitoring", "receivers"): Receivers,
    ("monitoring", "receivers", "slack"): Slack,
    ("monitoring", "receivers", "pagerduty"): PagerDuty,
    ("monitoring", "receivers", "mail"): Mail,
    ("ray",): Ray,
    ("models", "*", "scaling"): RayScaling,
    ("deploy",): Deploy,
    ("deploy", "images"): Images,
    ("deploy", "ingress"): Ingress,
    ("deploy", "secrets"): Secrets,
    ("deploy", "cache"): Cache,
    ("deploy", "schedules", "*"): Schedule,
    ("deploy", "backup"): Backup,
    ("deploy", "reach"): Reach,
    ("deploy", "overrides", "*"): Override,
    ("deploy", "ray"): RayCluster,
    ("deploy", "kserve"): KServe,
    ("deploy", "llmd"): LlmD,
    ("deploy", "disaggregate", "*"): Disaggregation,
}


def _owner(path: Path, values: dict[str, Any]) -> type[BaseModel] | None:
    if len(path) == 2 and path[0] == "models":
        return ENGINES.get(engine_of(values["models"][path[1]]))
    if len(path) == 3 and path[0] == "models":
        return _PARTS.get(("models", "*", path[2]))
    return _PARTS.get(path) or _PARTS.get((*path[:-1], "*"))


def located(findings: Iterable[Finding], document: Document) -> list[Problem]:
    """Findings with their lines, in the order of the file."""
    placed = [
        (
            document.position(finding.path, of_key=finding.at_key),
            Problem(
                finding.message,
                where=document.where(finding.path, of_key=finding.at_key),
                subject=dotted(finding.path),
                hint=finding.hint,
            ),
        )
        for finding in findings
    ]
    return [problem for _, problem in sorted(placed, key=lambda pair: pair[0])]


def _line(problem: Problem) -> tuple[int, int]:
    line, column = problem.where.rsplit(":", 2)[1:]
    return int(line), int(column)
