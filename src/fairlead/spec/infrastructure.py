"""The cluster itself, where Terraform is to make it; what it is made for stands in `hardware`.

Each is enforced by the variables that are rendered (`fairlead.render.infrastructure`).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

from fairlead.spec.deploy import Network
from fairlead.spec.fields import Closed, Label, Text
from fairlead.spec.problems import FieldError


def _check_not_everybody(network: str) -> str:
    if ipaddress.ip_network(network).prefixlen == 0:
        raise FieldError("that is the whole internet", "the networks of your operators and runners")
    return network


def _check_state(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name, re.ASCII):
        raise FieldError(f"{name[:70]!r} is no name of a bucket", "3 to 63 small letters, digits and dashes")
    return name


def _check_subscription(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text, re.ASCII | re.IGNORECASE):
        hint = "for example 00000000-0000-4000-8000-000000000000; `az account show` tells"
        raise FieldError(f"{text[:60]!r} is no subscription's id", hint)
    return text


KnownNetwork = Annotated[Network, AfterValidator(_check_not_everybody)]
StateName = Annotated[str, AfterValidator(_check_state)]
Subscription = Annotated[str, AfterValidator(_check_subscription)]


class Infrastructure(Closed):
    """The cluster that Terraform makes for `hardware`."""

    cluster: Label | None = None
    """Name of the cluster; the environment is added to it. Default: the name of the service."""
    state: StateName
    """Bucket, on Azure storage account, that keeps Terraform's state, versioned and locked. Unique in the cloud."""
    project: Text | None = None
    """Google Cloud: the project that everything belongs to."""
    subscription: Subscription | None = None
    """Azure: the subscription that everything belongs to."""
    zones: tuple[Text, ...] = ()
    """Google Cloud, Azure: zones of the nodes, where not all have the GPUs. Default: all, and three on AWS."""
    api_cidrs: tuple[KnownNetwork, ...] = ()
    """Networks that reach the API server from outside. Default: none; it is reached from within only."""
    admins: tuple[Text, ...] = ()
    """Who administrates the cluster. AWS: ARNs of IAM roles; Azure: object ids of Entra groups."""
