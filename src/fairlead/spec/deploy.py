"""How the service stands in a cluster: where, under which name, from which images."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from fairlead.spec.fields import Closed, Label
from fairlead.spec.problems import FieldError


def _check_image(image: str) -> str:
    """A tag that moves is no version: what was tested is not what runs after the next restart."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9._:/-]*?(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?", image):
        raise FieldError(f"{image[:60]!r} is no image", "registry/name:version, or registry/name@sha256:...")
    last = image.rpartition("/")[2]
    if "@" not in last and (":" not in last or last.endswith(":latest")):
        raise FieldError(f"{image[:60]!r} does not say which version", "give it a tag other than latest, or a digest")
    return image


Image = Annotated[str, AfterValidator(_check_image)]


class Images(Closed):
    """The images that run, each with its version."""

    gateway: Image
    """The image of the gateway, built from the rendered Dockerfile."""


class Deploy(Closed):
    """Where and how `fairlead render` puts the service into a cluster."""

    namespace: Label | None = None
    """Namespace of all that is rendered. Default: the name of the service."""
    images: Images
    """The images that run."""
