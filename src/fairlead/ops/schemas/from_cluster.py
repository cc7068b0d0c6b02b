"""Definitions from a cluster, as its API server has them: the truth for what is going to be applied there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from fairlead.errors import UserError
from fairlead.ops.schemas.received import Received, described

TIMEOUT_S = 30.0
PAGE = 50  # definitions in one answer; one may have a megabyte


def from_cluster(context: str | None) -> Iterator[Received]:
    """Every definition that a cluster has; None is the context in force. Raises UserError."""
    import httpx2
    from lightkube import ApiError, Client, KubeConfig
    from lightkube.core.exceptions import ConfigError
    from lightkube.generic_resource import create_global_resource

    kind = "CustomResourceDefinition"
    resource = create_global_resource("apiextensions.k8s.io", "v1", kind, "customresourcedefinitions")
    hint = "KUBECONFIG and --context say which cluster; `kubectl get crds` must work"
    try:
        configuration = KubeConfig.from_env().get(context_name=context)
        if configuration is None:
            raise UserError(f"there is no context {context!r}", hint=hint)
        with Client(configuration, timeout=httpx2.Timeout(TIMEOUT_S)) as client:
            for item in client.list(resource, chunk_size=PAGE):
                yield from definition({**item, "kind": kind}, configuration.context_name)
    except (ApiError, ConfigError, httpx2.HTTPError, OSError) as error:
        raise UserError(f"the cluster's definitions cannot be read: {error}", hint=hint, exit_code=1) from None


def definition(item: Mapping[str, Any], context: str) -> Iterator[Received]:
    """One definition of a list; its digest is that of its specification, which no clock and no count changes."""
    digest = hashlib.sha256(json.dumps(item.get("spec"), sort_keys=True).encode()).hexdigest()
    return described(item, f"cluster {context}", "", digest)
