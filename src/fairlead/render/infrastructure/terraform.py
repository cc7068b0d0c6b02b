"""Terraform: the cloud's module as it is, and its variables out of the plan. Labels and taints are the workloads'."""

from __future__ import annotations

import hashlib
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fairlead.plan.memory import weight_bytes
from fairlead.plan.service import Pool
from fairlead.render import kube, names
from fairlead.render.build import Build, Object, Part
from fairlead.render.engines.ray_jobs import job_sites
from fairlead.spec.infrastructure import Infrastructure
from fairlead.spec.types import Spec

FOLDER = "terraform"
SYSTEM_GIB = 100  # of a node's disk, for its system and images: vLLM's are 10 GB packed and 25 unpacked
WEIGHTS_KEPT = 2  # of each model on a pool: the one that runs, and the next one while it is fetched
STEP_GIB = 50
LONGEST_AKS_NAME = 12
STATE_CONTAINER = "tfstate"


def terraform(build: Build) -> Iterator[Part]:
    """The module of the plan's cloud, the variables of this service, and where the state is kept."""
    infrastructure = build.spec.infrastructure
    if infrastructure is None:
        return
    cloud = build.plan.cloud
    yield from module(cloud)
    yield f"{FOLDER}/terraform.tfvars.json", variables(build, infrastructure)
    yield f"{FOLDER}/backend.json", backend(build, infrastructure)
    yield f"{FOLDER}/state.tfvars.json", STATE[cloud](build, infrastructure)


def module(cloud: str) -> Iterator[Part]:
    """The cloud's files, byte for byte."""
    for path, text in _module(cloud).items():
        yield f"{FOLDER}/{path}", text


def variables(build: Build, infrastructure: Infrastructure) -> Object:
    """The content of terraform.tfvars.json."""
    spec = build.spec
    return kube.some(
        environment=spec.environment,
        cluster_name=infrastructure.cluster or spec.name,
        api_cidrs=list(infrastructure.api_cidrs),
        service_accounts=service_accounts(spec),
        pools=pools(build),
        **CLOUDS[build.plan.cloud](build, infrastructure),
    )


def service_accounts(spec: Spec) -> dict[str, str]:
    """Those of ours that have rights in the cloud; the modules know the others' usual names."""
    wish = spec.deploy.backup if spec.deploy else None
    backups = {"backups": f"{wish.namespace}/velero"} if wish else {}
    here, jobs = names.namespace(spec), spec.deploy.jobs if spec.deploy else {}
    batches = {"batches": f"{here}/{names.batch(spec)}"} if jobs else {}
    return {"engines": f"{here}/{names.engine_account(spec)}", **batches, **backups}


def batch_buckets(spec: Spec) -> list[str] | None:
    """Those that jobs name; None where there are no jobs."""
    jobs = spec.deploy.jobs.values() if spec.deploy else ()
    return sorted({place.split("/")[2] for job in jobs for place in (job.input, job.output)}) or None


def pools(build: Build) -> dict[str, Object]:
    """The variable `pools`: by the cloud's name of each pool, what its nodes are and carry."""
    return {pool_name(build.plan.cloud, pool.name): _pool(build, pool) for pool in build.plan.pools}


def pool_name(cloud: str, name: str) -> str:
    """A pool's name in the cloud. AKS takes 12 small letters and digits: others get a hash, to differ."""
    if cloud != "azure" or re.fullmatch(rf"[a-z][a-z0-9]{{0,{LONGEST_AKS_NAME - 1}}}", name):
        return name
    short = re.sub(r"^[0-9]+|-", "", name)[: LONGEST_AKS_NAME - 4]
    return (short or "p") + hashlib.sha256(name.encode()).hexdigest()[:4]


def cluster(spec: Spec, infrastructure: Infrastructure) -> str:
    """The cluster's name, as the modules make it."""
    return f"{infrastructure.cluster or spec.name}-{spec.environment}"


def backend(build: Build, infrastructure: Infrastructure) -> Object:
    """What `terraform init -backend-config=backend.json` is told: where the state is, under the cluster's name."""
    name, state = cluster(build.spec, infrastructure), infrastructure.state
    match build.plan.cloud:
        case "aws":
            return {"bucket": state, "key": f"{name}/terraform.tfstate", "region": build.plan.region}
        case "gcp":
            return {"bucket": state, "prefix": name}
        case _:
            return {**_azure_container(infrastructure), "key": f"{name}.tfstate"}


def _pool(build: Build, pool: Pool) -> Object:
    plan = build.plan
    return {
        "instance_type": pool.instance.name.partition("+")[0],
        **({"accelerator": accelerators().get(pool.instance.gpu, "")} if plan.cloud == "gcp" else {}),
        "gpus": pool.instance.gpus,
        "spot": pool.spot,
        "min_size": pool.minimum,
        "max_size": pool.maximum,
        "desired_size": min(max(pool.nodes, pool.minimum), pool.maximum),
        "disk_gib": disk_gib(build, pool),
        "labels": dict(names.pool_selector(pool.name)),
        "taints": kube.taints(pool),
    }


def disk_gib(build: Build, pool: Pool) -> int:
    """A node's disk: system and images, and the weights of every model that may come to stand on it."""
    placed = [*build.plan.placements, *(site.placement for site in job_sites(build))]
    here = {each.model: weight_bytes(each.deployment) * each.gpus for each in placed if each.pool == pool.name}
    weights = sum(here.values()) / (1 << 30)
    return SYSTEM_GIB + math.ceil(WEIGHTS_KEPT * weights / STEP_GIB) * STEP_GIB


@cache
def accelerators() -> Mapping[str, str]:
    """GKE's names of the catalog's accelerators."""
    text = _here().joinpath("gke_accelerators.toml").read_text(encoding="utf-8")
    return {str(name): str(value) for name, value in tomllib.loads(text).items()}


def _aws(build: Build, infrastructure: Infrastructure) -> Object:
    admins, prefix = list(infrastructure.admins), names.secret_prefix(build.spec)
    where = {"aws_region": build.plan.region, "admin_role_arns": admins, "secret_prefix": prefix}
    return kube.some(**where, batch_buckets=batch_buckets(build.spec))


def _gcp(build: Build, infrastructure: Infrastructure) -> Object:
    zones, prefix = list(infrastructure.zones), names.secret_prefix(build.spec)
    where = {"project": infrastructure.project, "region": build.plan.region, "zones": zones}
    return kube.some(**where, secret_prefix=prefix, batch_buckets=batch_buckets(build.spec))


def _azure(build: Build, infrastructure: Infrastructure) -> Object:
    """Names of accounts and vaults are unique in all of Azure: a hash of subscription and cluster makes them so."""
    name = cluster(build.spec, infrastructure)
    letters = re.sub("[^a-z0-9]", "", name)[:16]
    return {
        "subscription": infrastructure.subscription,
        "region": build.plan.region,
        "zones": list(infrastructure.zones),
        "admin_group_ids": list(infrastructure.admins),
        "storage_account": letters + _unique(infrastructure, name),
        "key_vault": f"{letters}-{_unique(infrastructure, name)[:7]}",
    }


def _unique(infrastructure: Infrastructure, name: str) -> str:
    return hashlib.sha256(f"{infrastructure.subscription}/{name}".encode()).hexdigest()[:8]


def _azure_container(infrastructure: Infrastructure) -> Object:
    return {
        "resource_group_name": infrastructure.state,
        "storage_account_name": infrastructure.state,
        "container_name": STATE_CONTAINER,
    }


def _state_aws(build: Build, infrastructure: Infrastructure) -> Object:
    return {"region": build.plan.region, "bucket": infrastructure.state}


def _state_gcp(build: Build, infrastructure: Infrastructure) -> Object:
    return {"project": infrastructure.project, **_state_aws(build, infrastructure)}


def _state_azure(build: Build, infrastructure: Infrastructure) -> Object:
    where = {"subscription": infrastructure.subscription, "region": build.plan.region}
    return {**where, **_azure_container(infrastructure)}


CLOUDS = {"aws": _aws, "gcp": _gcp, "azure": _azure}
STATE = {"aws": _state_aws, "gcp": _state_gcp, "azure": _state_azure}


@cache
def _module(cloud: str) -> Mapping[str, str]:
    return dict(_texts(_here().joinpath("terraform", cloud)))


def _texts(folder: Traversable, under: str = "") -> Iterator[tuple[str, str]]:
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir():
            yield from _texts(each, f"{under}{each.name}/")
        elif each.name.endswith(".tf"):
            yield f"{under}{each.name}", each.read_text(encoding="utf-8")


def _here() -> Traversable:
    return files("fairlead.render.infrastructure")
