"""Terraform of each cloud: the real `terraform` plans the folder, and its pools are those that pods ask for."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairlead.catalog.accelerators import accelerator
from fairlead.catalog.instances import instance, instances
from fairlead.plan.service import Placement, Pool, ServicePlan
from fairlead.render import kube, names
from fairlead.render.build import Build
from fairlead.render.infrastructure.terraform import accelerators, pool_name, terraform
from fairlead.render.refusals import refusals
from fairlead.render.targets import build, rendered

from . import planned as planned_examples
from .oracles import HOME, SHARED, program, verdict
from .plans import SERVICE, placement, spec

HARDWARE = "hardware: {{cloud: {cloud}, region: {region}}}\n"
AWS = (
    "infrastructure: {state: chat-state, api_cidrs: [203.0.113.0/24], admins: ['arn:aws:iam::111122223333:role/ops']}\n"
)
GCP = "infrastructure: {state: chat-state, project: chat-1, zones: [us-central1-a]}\n"
AZURE = """\
infrastructure:
  state: chatstate
  subscription: 00000000-0000-4000-8000-000000000000
  admins: [11111111-0000-4000-8000-000000000000]
"""
# cloud: region, the part of the file, a machine without GPUs, one with
CLOUDS = {
    "aws": ("us-east-1", AWS, "m7i.xlarge", "g6.2xlarge"),
    "gcp": ("us-central1", GCP, "e2-standard-4", "g2-standard-4"),
    "azure": ("westeurope", AZURE, "Standard_D4s_v5", "Standard_NC24ads_A100_v4"),
}
SEED_DEFAULTS = {
    "aws_region": "us-west-2",
    "environment": "prod",
    "cluster_name": "ray-llm-cluster",
    "gpu_node_instance_type": "g4dn.xlarge",
    "gpu_node_min_size": 1,
    "gpu_node_max_size": 10,
    "gpu_node_desired_size": 2,
    "cpu_node_instance_type": "m5.2xlarge",
    "cpu_node_min_size": 2,
    "cpu_node_max_size": 5,
    "cpu_node_desired_size": 2,
}
MODULES = Path(__file__).parents[2] / "src" / "fairlead" / "render" / "infrastructure" / "terraform"


def built(cloud: str) -> Build:
    """A service with a general pool, one of GPUs, and one of spot GPUs."""
    region, part, plain, gpu = CLOUDS[cloud]
    pools = (
        Pool(name="general", instance=instance(plain), spot=False, minimum=2, nodes=2, maximum=4),
        Pool(name="gpu", instance=instance(gpu), spot=False, minimum=1, nodes=4, maximum=8),
        Pool(name="gpu-spot", instance=instance(gpu), spot=True, minimum=0, nodes=0, maximum=3),
    )
    placed: tuple[Placement, ...] = (
        dataclasses.replace(placement("llama-8b", "Llama-3.1-8B"), pool="gpu"),
        dataclasses.replace(placement("Qwen2.5-0.5B", "Qwen2.5-7B"), pool="gpu-spot"),
    )
    plan = ServicePlan(cloud=cloud, region=region, pools=pools, placements=placed)
    text = SERVICE + HARDWARE.format(cloud=cloud, region=region) + part
    assert not refusals(spec(text))
    return build(spec(text), plan, "vllm")


def folder(tmp_path: Path, cloud: str) -> Path:
    """The rendered folder `terraform/` of a cloud."""
    for path, text in rendered(built(cloud)).texts().items():
        if path.startswith("terraform/"):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(judged(text) if path.endswith("cluster.tf") else text)
    return tmp_path / "terraform"


def judged(text: str) -> str:
    """The cluster as the judge's schema has it: of GKE's cluster it knows blocks as lists, which is their other form.

    What stands in them is then not judged; everything around it is.
    """
    head, cluster, body = text.partition('resource "google_container_cluster"')
    lines = body.partition("\n}\n")
    blocks = re.sub(r"(?ms)^    dynamic .*?^    }\n", "", lines[0])
    blocks = re.sub(r"(?ms)^  (\w+) {\n(.*?)^  }$", _as_list, blocks)
    return head + cluster + blocks + lines[1] + lines[2]


def _as_list(block: re.Match[str]) -> str:
    inner = re.sub(r"(?ms)^    (\w+) {\n(.*?)^    }$", r"    \1 = [{\n\2    }]", block[2])
    return f"  {block[1]} = [{{\n{inner}  }}]"


def planned(terraform_folder: Path, *var_files: Path) -> tuple[set[str], Mapping[str, Any]]:
    """Addresses of all that would be made, and the outputs."""
    program("terraform")
    python = program("python", HOME / "judges" / "bin" / "python")
    script = Path(__file__).with_name("terraform_plan.py")
    command = [python, *map(str, (script, SHARED, terraform_folder, *var_files))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    *addresses, outputs = done.stdout.splitlines()
    return set(addresses), json.loads(outputs.removeprefix("outputs "))


@pytest.mark.parametrize("cloud", CLOUDS)
def test_terraform_plans_what_is_rendered_and_lists_its_pools(cloud: str, tmp_path: Path) -> None:
    module = folder(tmp_path, cloud)
    addresses, outputs = planned(module, module / "terraform.tfvars.json")
    pools = {pool_name(cloud, pool.name): pool for pool in built(cloud).plan.pools}
    assert outputs["node_pools"] == {
        name: f"{pool.instance.name}{' (spot)' if pool.spot else ''} {pool.minimum}-{pool.maximum}"
        for name, pool in pools.items()
    }
    kind = {"aws": "aws_eks_node_group", "gcp": "google_container_node_pool"}.get(
        cloud, "azurerm_kubernetes_cluster_node_pool"
    )
    assert {f'{kind}.pool["{name}"]' for name in pools} == {each for each in addresses if each.startswith(kind)}


@pytest.mark.slow
@pytest.mark.parametrize("cloud", planned_examples.CLOUDS)
@pytest.mark.parametrize("name", planned_examples.NAMES)
def test_terraform_plans_the_pools_of_each_example_in_each_cloud(name: str, cloud: str, tmp_path: Path) -> None:
    made = planned_examples.rendered(name, environment=planned_examples.environment_of(name, cloud))
    module = planned_examples.written(made, tmp_path) / "terraform"
    (module / "cluster.tf").write_text(judged((module / "cluster.tf").read_text()))
    _, outputs = planned(module, module / "terraform.tfvars.json")
    pools = made.build.plan.pools
    assert set(outputs["node_pools"]) == {pool_name(made.build.plan.cloud, pool.name) for pool in pools}


@pytest.mark.slow
@pytest.mark.parametrize("cloud", CLOUDS)
def test_the_state_is_made_by_a_module_of_its_own(cloud: str, tmp_path: Path) -> None:
    module = folder(tmp_path, cloud)
    addresses, _ = planned(module / "state", module / "state.tfvars.json")
    assert addresses & {"aws_s3_bucket.state", "google_storage_bucket.state", "azurerm_storage_container.state"}
    backend = json.loads((module / "backend.json").read_text())
    made = json.loads((module / "state.tfvars.json").read_text())
    shared = backend.keys() & made.keys()
    assert shared & {"bucket", "container_name"}
    assert {name: backend[name] for name in shared} == {name: made[name] for name in shared}


@pytest.mark.slow
def test_a_broken_reference_in_a_module_is_found(tmp_path: Path) -> None:
    module = folder(tmp_path, "aws")
    pools = module / "pools.tf"
    pools.write_text(pools.read_text().replace("aws_iam_role.node.arn", "aws_iam_role.nodes.arn"))
    assert "aws_iam_role" in verdict("terraform", module).text
    assert not verdict("terraform", module).fine


@pytest.mark.slow
def test_the_module_for_aws_stands_alone_with_the_eleven_variables() -> None:
    _, outputs = planned(MODULES / "aws")
    assert outputs["node_pools"] == {"cpu": "m5.2xlarge 2-5", "gpu": "g4dn.xlarge 1-10"}
    assert outputs["kubeconfig"] == "aws eks update-kubeconfig --name ray-llm-cluster-prod --region us-west-2"


def test_the_eleven_variables_keep_their_names_and_defaults() -> None:
    text = (MODULES / "aws" / "variables.tf").read_text()
    found = re.findall(r'variable "(\w+)" {(.*?)\n}', text, re.DOTALL)
    values = {name: match[1] for name, body in found if (match := re.search(r"\n  default +=(.*)", body))}
    assert {name: json.loads(values[name]) for name in SEED_DEFAULTS} == SEED_DEFAULTS


@pytest.mark.parametrize("cloud", CLOUDS)
def test_what_a_pool_carries_is_what_its_pods_select_and_tolerate(cloud: str) -> None:
    work = built(cloud)
    variables = dict(terraform(work))["terraform/terraform.tfvars.json"]
    assert isinstance(variables, dict)
    for pool in work.plan.pools:
        rendered_pool = variables["pools"][pool_name(cloud, pool.name)]
        placed = kube.placed(pool)
        assert placed["nodeSelector"].items() <= rendered_pool["labels"].items()
        tolerated = [(each["key"], each["value"], each["effect"]) for each in placed.get("tolerations", ())]
        assert tolerated == [(each["key"], each["value"], each["effect"]) for each in rendered_pool["taints"]]


def test_aks_taints_its_spot_nodes_and_so_do_we() -> None:
    spot = next(pool for pool in built("azure").plan.pools if pool.spot)
    assert ("kubernetes.azure.com/scalesetpriority", "spot") in [
        (each["key"], each["value"]) for each in kube.taints(spot)
    ]


def test_a_pool_has_room_for_its_models_on_the_disk() -> None:
    variables = dict(terraform(built("aws")))["terraform/terraform.tfvars.json"]
    assert isinstance(variables, dict)
    disks = {name: pool["disk_gib"] for name, pool in variables["pools"].items()}
    assert disks["general"] == 100
    assert disks["gpu"] >= 100 + 2 * 15  # twice the 15 GiB of an 8B in 16 bits


NAMES = {
    "general": "general",
    "l4": "l4",
    "h100-sxm-8": None,
    "h100-sxm-80": None,
    "8xa100": None,
    "a-very-long-name": None,
}


def test_aks_names_are_short_and_differ() -> None:
    made = {name: pool_name("azure", name) for name in NAMES}
    assert all(re.fullmatch(r"[a-z][a-z0-9]{0,11}", name) for name in made.values())
    assert len(set(made.values())) == len(made)
    assert {name: made[name] for name, expected in NAMES.items() if expected} == {"general": "general", "l4": "l4"}


def test_every_nvidia_gpu_of_google_cloud_has_its_name() -> None:
    gpus = {each.gpu for each in instances().values() if each.cloud == "GCP" and each.gpu}
    assert {gpu for gpu in gpus if accelerator(gpu).vendor == "NVIDIA"} <= accelerators().keys()


# what the file says: what is refused
REFUSED = {
    "nowhere": ("infrastructure: {state: abc}\n", "which cloud"),
    "no project": ("hardware: {cloud: gcp, region: r}\ninfrastructure: {state: abc}\n", "needs a project"),
    "no subscription": ("hardware: {cloud: azure, region: r}\ninfrastructure: {state: abc}\n", "needs a subscription"),
    "a project elsewhere": (
        "hardware: {cloud: aws, region: r}\ninfrastructure: {state: abc, project: p}\n",
        "only Google",
    ),
    "zones on AWS": ("hardware: {cloud: aws, region: r}\ninfrastructure: {state: abc, zones: [a]}\n", "three zones"),
    "admins on GCP": (
        "hardware: {cloud: gcp, region: r}\ninfrastructure: {state: abc, project: p, admins: [a]}\n",
        "project's IAM",
    ),
    "a state with dashes on Azure": (
        "hardware: {cloud: azure, region: r}\n" + AZURE.replace("chatstate", "chat-state"),
        "storage account",
    ),
    "a name too long for buckets": (
        "hardware: {cloud: aws, region: r}\ninfrastructure: {state: abc, cluster: " + "a" * 30 + "}\n",
        "leave 40 characters",
    ),
    "a project that leaves little": (
        "hardware: {cloud: gcp, region: r}\ninfrastructure: {state: abc, project: "
        + "p" * 30
        + ", cluster: abcdefghijklmno}\n",
        "leave 24 characters",
    ),
    "a TPU": (
        "hardware: {cloud: gcp, region: r, pools: {t: {instance: ct6e-standard-1t}}}\n" + GCP,
        "no GPU that a GKE node pool",
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_the_cloud_does_not_have_is_refused(text: str, message: str) -> None:
    [finding] = refusals(spec(SERVICE + text))
    assert message in finding.message


def test_without_the_part_there_is_no_terraform() -> None:
    plain = spec(SERVICE)
    assert plain.infrastructure is None
    assert not dict(terraform(Build(spec=plain, plan=built("aws").plan, gateway={}, target="vllm")))


def test_our_service_accounts_are_those_that_get_rights() -> None:
    variables = dict(terraform(built("aws")))["terraform/terraform.tfvars.json"]
    assert isinstance(variables, dict)
    engines = f"chat/{names.engine_account(spec())}"
    batches = f"chat/{names.batch(spec())}"
    assert variables["service_accounts"] == {"engines": engines, "batches": batches, "backups": "velero/velero"}
    assert variables["batch_buckets"] == ["answers", "rows"]
    assert variables["secret_prefix"] == "chat"  # as the ExternalSecrets of test_secrets have it


def test_the_files_are_formatted() -> None:
    command = [program("terraform"), "fmt", "-check", "-recursive", str(MODULES)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
