"""The labels that pods are found by, whoever makes them: what is Kubernetes' by convention may be an operator's own."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.render import names
from fairlead.render.build import Build
from fairlead.spec.types import Spec

OWN_COMPONENT = "fairlead.dev/component"
"""Said where `app.kubernetes.io/component` is the operator's to say."""


def selector(build: Build, component: str, model: str = "") -> dict[str, str]:
    """Of a component's pods in this rendering; they never change while the object lives."""
    if component == names.ENGINE and by_llm_inference_service(build):
        return lent(build.spec, model)
    return names.selector(build.spec, component, model)


def by_llm_inference_service(build: Build) -> bool:
    """Whether KServe makes the engines' pods of LLMInferenceServices, with names and components of its own."""
    deploy = build.spec.deploy
    return build.target == "kserve" and deploy is not None and deploy.kserve.kind == "LLMInferenceService"


def lent(spec: Spec, model: str = "") -> dict[str, str]:
    """Labels for engines that KServe leaves alone."""
    found = {names.INSTANCE: spec.name, OWN_COMPONENT: names.ENGINE}
    return found | ({names.MODEL: names.slug(model)} if model else {})


def component_of(labels: Mapping[str, str]) -> str:
    """The component that pods with these labels belong to; "" where it is none of ours."""
    return labels.get(OWN_COMPONENT) or labels.get(names.COMPONENT, "")
