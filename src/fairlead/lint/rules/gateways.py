"""LiteLLM and production-stack: limits, budgets and guardrails that are known not to be enforced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fairlead.lint.finding import Hit
from fairlead.lint.folder import Folder, hit, value_hit
from fairlead.lint.quantity import amount
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document, Map, as_map, dig, maps

SESSION_LOGIC = "session"


def open_proxy(folder: Folder) -> Iterator[Hit]:
    """GW-01: a LiteLLM proxy without a master key, or with one in the file."""
    for document in _litellm(folder):
        root = document.root
        general = as_map(root.get("general_settings"))
        key = general.get("master_key")
        if key is None and "master_key" not in general:
            if not _key_in_environment(folder):
                yield hit(document, root, "model_list", "no general_settings.master_key: everybody may call everything")
        elif isinstance(key, str) and not key.startswith("os.environ/") and "$" not in key:
            yield value_hit(document, general, "master_key", "the master key is written out in the configuration")


def limit_per_replica(folder: Folder) -> Iterator[Hit]:
    """GW-02: a limit of tokens that each replica counts for itself."""
    for document in _litellm(folder):
        for entry in maps(document.root.get("model_list")):
            params = as_map(entry.get("litellm_params"))
            if "tpm" in params:
                message = "tpm is checked against each replica's own counter: the limit is tpm x replicas"
                yield hit(document, params, "tpm", message)


def budget_without_database(folder: Folder) -> Iterator[Hit]:
    """GW-03: budgets, and nothing that remembers the spending."""
    for document in _litellm(folder):
        root = document.root
        general, settings = as_map(root.get("general_settings")), as_map(root.get("litellm_settings"))
        stored = "database_url" in general or any(each.name == "DATABASE_URL" for each in folder.variables)
        for holder in (general, settings):
            if "max_budget" in holder and not stored:
                yield hit(
                    document, holder, "max_budget", "a budget without a database: spending starts at 0 at each start"
                )


def output_guardrail(folder: Folder) -> Iterator[Hit]:
    """GW-04: a guardrail of the output that one endpoint skips on streams."""
    for document in _litellm(folder):
        for guardrail in maps(document.root.get("guardrails")):
            params = as_map(guardrail.get("litellm_params"))
            modes = params.get("mode")
            if "post_call" in (modes if isinstance(modes, list) else [modes]):
                yield hit(document, params, "mode", "post_call is not run on streams of /v1/messages, and logs success")


def session_without_key(folder: Folder) -> Iterator[Hit]:
    """GW-05: production-stack's session routing without the header that says whose session it is."""
    for document, holder, _ in folder.having("routerSpec"):
        router = as_map(holder["routerSpec"])
        if router.get("routingLogic") == SESSION_LOGIC and not router.get("sessionKey"):
            yield value_hit(
                document, router, "routingLogic", "session routing without sessionKey: the router does not start"
            )


def claim_of_several_pods(folder: Folder) -> Iterator[Hit]:
    """GW-06: several replicas on a claim that one node can mount."""
    for document, holder, _ in folder.having("modelSpec"):
        for model in maps(holder["modelSpec"]):
            modes = model.get("pvcAccessMode")
            replicas = amount(model.get("replicaCount")) or 1
            if replicas > 1 and isinstance(modes, list) and modes == ["ReadWriteOnce"]:
                message = f"{replicas:g} replicas share a claim that one node can mount"
                yield hit(document, model, "pvcAccessMode", message)


def _litellm(folder: Folder) -> Iterator[Document]:
    """Documents that are a LiteLLM proxy's configuration."""
    for document, holder, _ in folder.having("model_list"):
        first = next(maps(holder["model_list"]), None)
        if holder is document.root and isinstance(first, Map) and isinstance(dig(first, "litellm_params"), Map):
            yield document


def _key_in_environment(folder: Folder) -> bool:
    return any(variable.name == "LITELLM_MASTER_KEY" for variable in folder.variables)


CHECKS: Mapping[str, Check] = {
    "GW-01": open_proxy,
    "GW-02": limit_per_replica,
    "GW-03": budget_without_database,
    "GW-04": output_guardrail,
    "GW-05": session_without_key,
    "GW-06": claim_of_several_pods,
}
