"""Which rule of the file lets a role do something, or does not: the gateway's decision in words, with its place.

`policy` of access is small: a role's models times its operations, denied by default. tests/identity/test_explain.py
asks the gateway the same questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairlead.spec.problems import Path
from fairlead.spec.types import ADMIN_OPERATIONS, ALL_ADMIN, BATCH, EVERYTHING, GATEWAY_OPERATIONS, Spec

Status = Literal[200, 400, 401, 403, 404, 503]


@dataclass(frozen=True, slots=True)
class Decision:
    """`status` is the gateway's, 200 when it lets the request in; `rule` the path in the file that decides."""

    status: Status
    reason: str
    rule: Path

    @property
    def allowed(self) -> bool:
        """Whether the request is let in. Limits and budgets come after this."""
        return self.status == 200


def decide(spec: Spec, role_name: str, operation: str, model: str) -> Decision:
    """Whether a role may ask for an operation. Of the gateway's own operations `model` does not matter."""
    path: Path = ("access", "roles", role_name)
    role = spec.access.roles.get(role_name)
    is_gateways = operation in GATEWAY_OPERATIONS
    if unserved := not_served(spec, operation, model):
        return unserved
    if role is None:
        return Decision(403, f"there is no role {role_name!r}, and what no role allows is denied", ("access", "roles"))
    by_operation = first(role.operations, operation, ALL_ADMIN if operation in ADMIN_OPERATIONS else operation)
    if by_operation is None:
        reason = f"{operation} is not among the operations of {role_name!r}, and what is not listed is denied"
        return Decision(403, reason, (*path, "operations"))
    if is_gateways:
        return Decision(200, f"{role_name!r} may use {operation}", (*path, "operations", by_operation))
    by_model = first(role.models, model, EVERYTHING)
    if by_model is None:
        reason = f"{model} is not among the models of {role_name!r}, and what is not listed is denied"
        return Decision(403, reason, (*path, "models"))
    return Decision(200, f"{role_name!r} may use {operation} on {model}", (*path, "models", by_model))


def not_served(spec: Spec, operation: str, model: str) -> Decision | None:
    """Why no role can ask this of the model, or of the gateway; None where it depends on the role."""
    if operation == BATCH and spec.batches is None:
        return Decision(404, "there is no Batch API: batches is not declared", ("batches",))
    if operation in GATEWAY_OPERATIONS:
        return None
    behind = spec.routes[model].model if model in spec.routes else model
    if behind not in spec.models:
        return Decision(404, f"there is no model or route {model!r}", ("models",))
    if operation not in spec.models[behind].operations:
        return Decision(400, f"the model {behind!r} does not serve {operation}", ("models", behind, "operations"))
    return None


def first(listed: tuple[str, ...], *names: str) -> int | None:
    """Where one of the names stands in a list; the first name is looked for first."""
    return next((listed.index(name) for name in names if name in listed), None)
