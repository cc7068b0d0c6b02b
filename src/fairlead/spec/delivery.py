"""How what is rendered gets into clusters: pipelines, Argo CD, a Helm chart.

Each is enforced by the files that are rendered (`fairlead.render.delivery`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic.types import Strict

from fairlead.spec.fields import Closed, Label, Text

Pipeline = Literal["github", "jenkins"]


class ArgoCd(Closed):
    """An Application of Argo CD, which keeps the cluster as the repository has it."""

    repository: Text
    """URL of the repository that rendered folders are committed to."""
    path: Text
    """The rendered folder in it, for example rendered/production."""
    revision: Text = "main"
    """Branch, tag or commit."""
    namespace: Label = "argocd"
    """Namespace of Argo CD."""
    project: Label = "default"
    """Argo CD's project."""


class Delivery(Closed):
    """How what is rendered gets into clusters."""

    pipelines: tuple[Pipeline, ...] = ()
    """Pipelines that test, build, scan, plan and roll out in stages: github, jenkins."""
    argocd: ArgoCd | None = None
    """An Application of Argo CD. Default: none."""
    chart: Annotated[bool, Strict()] = False
    """Whether the manifests are also rendered as a Helm chart."""
