"""What a cloud does not have, refused with the line that asks for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fairlead.catalog.instances import instances
from fairlead.render.infrastructure.terraform import accelerators, cluster
from fairlead.spec.infrastructure import Infrastructure
from fairlead.spec.problems import Finding
from fairlead.spec.types import Spec

LONGEST_BUCKET = 63
LONGEST_CLUSTER = 40
"""Of a GKE cluster; on AWS `NAME-backups-ACCOUNT` is a bucket and has 42, roles have more."""
AZURE_ACCOUNT = r"[a-z0-9]{3,24}"
# fields that mean something on some clouds only: elsewhere they would be ignored, so they are refused
FIELDS = {
    "project": ({"gcp"}, "only Google Cloud has projects"),
    "subscription": ({"azure"}, "only Azure has subscriptions"),
    "zones": ({"gcp", "azure"}, "on AWS the cluster takes the region's first three zones"),
    "admins": ({"aws", "azure"}, "on Google Cloud the project's IAM says who administrates"),
}
NEEDED = {
    "gcp": ("project", "the project's id, as `gcloud projects list` shows it"),
    "azure": ("subscription", "`az account show --query id` prints it"),
}


def infrastructure_refusals(spec: Spec) -> Iterator[Finding]:
    """Everything about the part `infrastructure` that its cloud cannot do."""
    asked, here = spec.infrastructure, ("infrastructure",)
    if asked is None:
        return
    if spec.hardware is None:
        yield Finding(here, "nothing says which cloud, region and nodes", "add hardware:", at_key=True)
        return
    cloud = spec.hardware.cloud
    for field, (clouds, why) in FIELDS.items():
        if getattr(asked, field) and cloud not in clouds:
            yield Finding((*here, field), why, "take it out", at_key=True)
    if cloud in NEEDED and not getattr(asked, NEEDED[cloud][0]):
        field, hint = NEEDED[cloud]
        yield Finding(here, f"hardware.cloud is {cloud}, so it needs a {field}", hint, at_key=True)
    if cloud == "azure" and not re.fullmatch(AZURE_ACCOUNT, asked.state):
        message = "on Azure this is a storage account's name: 3 to 24 small letters and digits"
        yield Finding((*here, "state"), message, f"for example {re.sub('[^a-z0-9]', '', asked.state)[:24] or 'state'}")
    yield from _too_long(spec, asked)
    if cloud == "gcp":
        yield from _unknown_to_gke(spec)


def _too_long(spec: Spec, asked: Infrastructure) -> Iterator[Finding]:
    """The longest names that the modules make of the cluster's: a bucket has 63 characters, the project's included."""
    assert spec.hardware is not None
    most = LONGEST_CLUSTER
    if spec.hardware.cloud == "gcp":
        most = min(most, LONGEST_BUCKET - len(f"{asked.project}--backups"))
    name = cluster(spec, asked)
    if len(name) > most:
        message = f"the cluster would be called {name!r}; buckets are named after it, and leave {most} characters"
        yield Finding(("infrastructure",), message, "give it a shorter name: infrastructure.cluster", at_key=True)


def _unknown_to_gke(spec: Spec) -> Iterator[Finding]:
    assert spec.hardware is not None
    for name, pool in spec.hardware.pools.items():
        found = instances().get(pool.instance)
        if found and found.gpu and found.gpu not in accelerators():
            message = f"{found.gpu} is no GPU that a GKE node pool of ours can have"
            yield Finding(("hardware", "pools", name, "instance"), message, f"one of {', '.join(accelerators())}")
