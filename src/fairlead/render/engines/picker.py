"""llm-d's endpoint picker for a model: its configuration, what runs it, and the same as values for llm-d's chart.

Sources: llm-d-router 0.10 (config/charts/routerlib, deploy/config), llm-d 0.9 (guides/pd-disaggregation).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fairlead.catalog.components import component
from fairlead.render import kube, names, yaml
from fairlead.render.build import Object
from fairlead.render.engines.inference_gateway import PICKER_PORT, POOL_GROUP
from fairlead.render.engines.objectives import PRIORITIES, flow_control, named
from fairlead.render.engines.site import Site
from fairlead.spec.engines import Disaggregation

CONFIG_FILE = "picker.yaml"
CONFIG_MOUNT = "/config"
HEALTH_PORT, METRICS_PORT = 9003, 9090
CPU, MEMORY = "1", "2Gi"
GRACE_S = 15


def name(site: Site) -> str:
    """Of the picker, as llm-d's chart would call it."""
    return f"{site.name}-epp"


def config(site: Site, apart: Disaggregation | None) -> Object:
    """What it scores by. Of a file that only the picker reads: EndpointPickerConfig is no kind of the cluster."""
    plugins, profiles = disaggregated(apart) if apart else together()
    return {
        "apiVersion": "llm-d.ai/v1alpha1",
        "kind": "EndpointPickerConfig",
        "plugins": plugins,
        "schedulingProfiles": [{"name": profile, "plugins": chosen} for profile, chosen in profiles.items()],
        **flow_control(site),
    }


Plugins = list[Object]
SCORES = (("prefix-cache-scorer", 3), ("queue-scorer", 2), ("kv-cache-utilization-scorer", 2))
"""A prompt goes to who knows its beginning, unless the queue there is longer than that is worth."""


def together() -> tuple[Plugins, dict[str, Plugins]]:
    """Every pod does all of a request."""
    plugins = [{"type": each} for each in ("single-profile-handler", *scorers(), "max-score-picker")]
    return plugins, {"default": [*scored(), {"pluginRef": "max-score-picker"}]}


def disaggregated(apart: Disaggregation) -> tuple[Plugins, dict[str, Plugins]]:
    """Prompts that are long and new are read by pods of their own; others where they are answered."""
    decider = "prefix-based-pd-decider"
    plugins: Plugins = [
        {"type": "disagg-profile-handler", "parameters": {"deciders": {"prefill": decider}}},
        {"type": decider, "parameters": {"nonCachedTokens": apart.min_prompt}},
        *({"type": each} for each in ("prefill-filter", "decode-filter", *scorers(), "max-score-picker")),
    ]
    profiles = {
        role: [{"pluginRef": f"{role}-filter"}, *scored(), {"pluginRef": "max-score-picker"}]
        for role in ("prefill", "decode")
    }
    return plugins, profiles


def scorers() -> list[str]:
    """Their names."""
    return [scorer for scorer, _ in SCORES]


def scored() -> Plugins:
    """Scorers with their weights."""
    return [{"pluginRef": scorer, "weight": weight} for scorer, weight in SCORES]


def picker(site: Site, apart: Disaggregation | None) -> Iterator[Object]:
    """Everything that makes it run."""
    spec, mine = site.spec, name(site)
    meta = kube.metadata(spec, mine, names.PICKER, origin=site.origin, model=site.served)
    selector = names.selector(spec, names.PICKER, site.served)
    yield {**kube.service_account(meta), "automountServiceAccountToken": True}
    yield from rights(meta, mine)
    yield kube.config_map(meta, {CONFIG_FILE: yaml.dump(config(site, apart))})
    # one at a time: two would not know of each other's choices
    deployment = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": selector},
        "template": kube.pod_template(spec, names.PICKER, pod(site), model=site.served),
    }
    yield kube.thing("apps/v1", "Deployment", meta, spec=deployment)
    yield kube.service(meta, selector, {"grpc-ext-proc": PICKER_PORT, names.METRICS: METRICS_PORT})


def rights(meta: Object, mine: str) -> Iterator[Object]:
    """It reads its pool and the pods in it, in this namespace."""
    api, verbs = "rbac.authorization.k8s.io", ["get", "list", "watch"]
    rules = [
        {"apiGroups": [POOL_GROUP], "resources": ["inferencepools"], "verbs": verbs},
        {"apiGroups": ["llm-d.ai"], "resources": ["inferenceobjectives", "inferencemodelrewrites"], "verbs": verbs},
        {"apiGroups": [""], "resources": ["pods"], "verbs": verbs},
    ]
    yield kube.thing(f"{api}/v1", "Role", meta, rules=rules)
    who = [{"kind": "ServiceAccount", "name": mine, "namespace": meta["namespace"]}]
    role = {"apiGroup": api, "kind": "Role", "name": mine}
    yield kube.thing(f"{api}/v1", "RoleBinding", meta, subjects=who, roleRef=role)


def pod(site: Site) -> Object:
    """The picker's pod, on a node without GPUs."""
    ports = {"grpc-ext-proc": PICKER_PORT, "grpc-health": HEALTH_PORT, names.METRICS: METRICS_PORT}
    health = {"grpc": {"port": HEALTH_PORT, "service": "inference-extension"}}
    container = kube.container(
        "picker",
        component("llm-d-router").image,
        args=arguments(site),
        ports=ports,
        env=[field("NAMESPACE", "metadata.namespace"), field("POD_NAME", "metadata.name")],
        resources=kube.resources(cpu=CPU, memory=MEMORY),
        volumeMounts=[kube.mount("config", CONFIG_MOUNT, read_only=True)],
        livenessProbe={**health, "initialDelaySeconds": 5, "periodSeconds": 10},
        readinessProbe={**health, "periodSeconds": 2},
    )
    return {
        "serviceAccountName": name(site),
        "enableServiceLinks": False,
        "priorityClassName": names.priority(site.spec, names.GATEWAY),
        "securityContext": kube.pod_security(),
        **kube.placed(kube.general_pool(site.build.plan.pools)),
        # as long as its engines may take to finish: it is asked until the last of them has
        "terminationGracePeriodSeconds": site.grace_s + GRACE_S,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": name(site)}}],
    }


def arguments(site: Site) -> list[str]:
    """Its command line. Who may scrape its metrics is the NetworkPolicies' matter."""
    return [
        f"--pool-name={site.name}",
        f"--pool-namespace={names.namespace(site.spec)}",
        f"--pool-group={POOL_GROUP}",
        f"--config-file={CONFIG_MOUNT}/{CONFIG_FILE}",
        f"--grpc-port={PICKER_PORT}",
        f"--grpc-health-port={HEALTH_PORT}",
        f"--metrics-port={METRICS_PORT}",
        "--metrics-endpoint-auth=false",
        "--zap-encoder=json",
    ]


def field(variable: str, path: str) -> Object:
    """A variable out of the pod's own fields."""
    return {"name": variable, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def chart_values(site: Site, apart: Disaggregation | None) -> dict[str, Any]:
    """Pool and picker by llm-d's own chart, oci://ghcr.io/llm-d/charts/llm-d-router-gateway."""
    registry, repository, tag = component("llm-d-router").image_parts
    return {
        "router": {
            "modelServers": {
                "type": "vllm",
                "protocol": "http",
                "matchLabels": dict(site.selector),
                "targetPorts": [{"number": names.ENGINE_PORT}],
            },
            "inferencePool": {"create": True, "failureMode": "FailClose" if apart else "FailOpen"},
            "inferenceObjectives": [
                {"name": name, "priority": PRIORITIES[kind]} for kind, name in named(site.name).items()
            ],
            "epp": {
                "replicas": 1,
                "image": {"registry": registry, "repository": repository, "tag": tag, "pullPolicy": "IfNotPresent"},
                "extProcPort": PICKER_PORT,
                "pluginsConfigFile": CONFIG_FILE,
                "pluginsCustomConfig": {CONFIG_FILE: yaml.dump(config(site, apart))},
                "resources": kube.resources(cpu=CPU, memory=MEMORY),
            },
        },
        "httpRoute": {"create": False},
    }
