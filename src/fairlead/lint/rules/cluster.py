"""Kubernetes: objects that the cluster refuses, that wait for ever, or that shut out what they meant to allow."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.lint.finding import Edit, Hit
from fairlead.lint.folder import Folder, hit
from fairlead.lint.rule import Check
from fairlead.lint.tree import Document, Map, Place, as_map, dig, maps

LONGEST_LINE = 2_000  # characters: what is longer is no text for people
PLUGIN = re.compile(r"NVIDIA/k8s-device-plugin/(master|main|v0\.\d+\.\d+)/nvidia-device-plugin\.ya?ml")
CUDA_IMAGE = re.compile(r"(?:docker\.io/)?nvidia/cuda:(?P<tag>[\w.-]+)")
CUDA_TAG = re.compile(r"\d+\.\d+\.\d+-[\w-]+-(?:ubuntu|ubi|rockylinux|oraclelinux|opensuse)[\w.]*")
INGRESS_CLASS = "kubernetes.io/ingress.class"
NGINX_PROSE = re.compile(r"(?i)\bnginx\b.*(?:load balanc|ingress)|(?:load balanc|ingress).*\bnginx\b")
NGINX_CHART = re.compile(r"ingress-nginx/ingress-nginx|kubernetes/ingress-nginx|kubernetes\.github\.io/ingress-nginx")


def device_plugin(folder: Folder) -> Iterator[Hit]:
    """D-26: the device plugin from a branch, at a path that moved."""
    for file in folder.files:
        for number, line in _lines(file.text, "k8s-device-plugin"):
            match = PLUGIN.search(line)
            if match and not match[1].startswith("v0."):
                message = f"the device plugin from `{match[1]}`: the file is not there, and a branch is no version"
                yield Hit(file.path, number, match.start() + 1, message)


def cuda_tag(folder: Folder) -> Iterator[Hit]:
    """D-27: a tag of nvidia/cuda that was never published: full version, flavour and system are needed."""
    for file in folder.files:
        for number, line in _lines(file.text, "nvidia/cuda:"):
            for match in CUDA_IMAGE.finditer(line):
                if not CUDA_TAG.fullmatch(match["tag"]) and "$" not in line[match.end() : match.end() + 1]:
                    yield Hit(file.path, number, match.start() + 1, f"no image nvidia/cuda:{match['tag']} exists")


def nginx_ingress(folder: Folder) -> Iterator[Hit]:
    """D-29: an Ingress for ingress-nginx, or for nobody in particular."""
    for document in folder.objects("Ingress"):
        spec = as_map(document.root.get("spec"))
        annotations = as_map(dig(document.root, "metadata", "annotations"))
        chosen = spec.get("ingressClassName") or annotations.get(INGRESS_CLASS)
        if chosen in ("nginx", None):
            what = "for ingress-nginx" if chosen else "without a class: the cluster's default, most often ingress-nginx"
            yield hit(document, document.root, "kind", f"an Ingress {what}, which is retired")
    for file in folder.files:
        for number, line in _lines(file.text, "nginx", "Nginx", "NGINX"):
            match = NGINX_CHART.search(line) or (NGINX_PROSE.search(line) if file.language == "page" else None)
            if match:
                yield Hit(file.path, number, match.start() + 1, "ingress-nginx is retired")


def closed_network(folder: Folder) -> Iterator[Hit]:
    """D-35: a policy that shuts out DNS, the outside, or everybody by a label that namespaces do not have."""
    for document in folder.objects("NetworkPolicy"):
        spec = as_map(document.root.get("spec"))
        if "policyTypes" not in spec:
            message = "no policyTypes: what the policy leaves open is guessed from which rules it has"
            place: Place = document.root.place("spec")
            yield Hit(document.file, *place, message, severity="info")
        for rule in maps(spec.get("ingress")):
            yield from _namespace_labels(document, rule.get("from"))
        for rule in maps(spec.get("egress")):
            yield from _egress(document, rule)


def old_external_secret(folder: Folder) -> Iterator[Hit]:
    """D-36: a version of External Secrets that is not served any more."""
    for document, holder, key in folder.having("apiVersion"):
        if holder[key] == "external-secrets.io/v1beta1":
            place = holder.values_at[key]
            edit = Edit(place.line, place.column, "external-secrets.io/v1beta1", "external-secrets.io/v1")
            yield Hit(document.file, *place, "external-secrets.io/v1beta1 is not served any more", edit=edit)


def moved_image(folder: Folder) -> Iterator[Hit]:
    """D-38: images that left Docker Hub's bitnami in 2025."""
    for document, holder, key in folder.having("image", "repository"):
        value = holder[key]
        if isinstance(value, str) and re.match(r"(docker\.io/)?bitnami/", value):
            place = holder.values_at[key]
            yield Hit(document.file, *place, f"{value} moved to bitnamilegacy and gets no updates")


def label_before_namespace(folder: Folder) -> Iterator[Hit]:
    """D-44: a namespace is labelled before anything creates it."""
    made = {dig(each.root, "metadata", "name") for each in folder.objects("Namespace")}
    seen: set[tuple[str, str]] = set()
    for document, command in folder.commands("kubectl", "oc", "helm"):
        words = [word.text for word in command.words]
        if "create" in words[:2] and words[2:3] in (["namespace"], ["ns"]) and len(words) > 3:
            seen.add((document.file, words[3]))
        elif "--create-namespace" in words:
            space = command.option("-n", "--namespace")
            seen.add((document.file, space.text if space else ""))
        elif words[1:2] == ["label"] and words[2:3] in (["namespace"], ["ns"]) and len(words) > 3:
            name = words[3]
            known = name in made or name in ("default", "kube-system") or (document.file, name) in seen
            if not known and "$" not in name:
                word = command.words[0]
                yield Hit(document.file, word.line, word.column, f"namespace {name} is labelled before it is created")


def _lines(text: str, *words: str) -> Iterator[tuple[int, str]]:
    """The lines of a text that has one of these words; none that is longer than lines are."""
    if any(word in text for word in words):
        yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if len(line) <= LONGEST_LINE)


def _namespace_labels(document: Document, peers: Any) -> Iterator[Hit]:
    for peer in maps(peers):
        labels = as_map(dig(peer, "namespaceSelector", "matchLabels"))
        if set(labels) == {"name"}:
            message = f"no namespace has the label name={labels['name']} by itself: nobody gets in"
            yield hit(document, labels, "name", message, fix=f"kubernetes.io/metadata.name: {labels['name']}")


def _egress(document: Document, rule: Map) -> Iterator[Hit]:
    peers, ports = rule.get("to"), rule.get("ports")
    everywhere = [peer for peer in maps(peers) if peer.get("namespaceSelector") == {} and "podSelector" not in peer]
    open_ports = {(str(port.get("protocol", "TCP")), port.get("port")) for port in maps(ports)}
    if everywhere and ("TCP", 443) in open_ports and not any("ipBlock" in peer for peer in maps(peers)):
        message = "namespaceSelector: {} means all pods of the cluster: object storage outside stays shut"
        yield hit(document, everywhere[0], "namespaceSelector", message, fix="add an ipBlock for the outside")
    if ("TCP", 53) in open_ports and ("UDP", 53) not in open_ports:
        for port in maps(ports):
            if port.get("port") == 53:
                yield Hit(document.file, *port.place("port"), "DNS over TCP only: names do not resolve")


CHECKS: Mapping[str, Check] = {
    "D-26": device_plugin,
    "D-27": cuda_tag,
    "D-29": nginx_ingress,
    "D-35": closed_network,
    "D-36": old_external_secret,
    "D-38": moved_image,
    "D-44": label_before_namespace,
}
