"""In a cluster on this machine nothing listens beyond loopback: Ray Serve's replicas would, on a port for each other.

Ray 2.60 writes their address down as "[::]:0" (ray/serve/_private/replica.py); all its other servers follow the node's
address. Python imports this module at its start where its folder is on the PYTHONPATH.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

WATCHED = "ray._common.tls_utils"


class Finder(MetaPathFinder):
    """Waits for the one module that opens the port."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's own spec, with a loader that changes one function of it."""
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            spec.loader = OnLoopback(spec.loader)
        return spec


class OnLoopback(Loader):
    """Loads the module, and lets its servers listen on loopback."""

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the loader would."""
        return self.loader.create_module(spec)

    def exec_module(self, module: Any) -> None:
        """Run the module, then wrap the function."""
        self.loader.exec_module(module)
        listen = module.add_port_to_grpc_server
        module.add_port_to_grpc_server = lambda server, address: listen(server, address.replace("[::]", "127.0.0.1"))


sys.meta_path.insert(0, Finder())
