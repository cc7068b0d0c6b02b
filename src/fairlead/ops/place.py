"""Where a spec keeps its keys and its ledger: the service's folder, or the database that a variable names."""

from __future__ import annotations

from collections.abc import Mapping

from fairlead.ops.layout import Layout
from fairlead.spec.types import Spec
from fairlead.store.stores import Place, place_of


def place_for(spec: Spec, layout: Layout, environ: Mapping[str, str]) -> Place:
    """The place of a service's state. Raises UserError when the variable with the database's URL is not set."""
    postgres = spec.store.postgres if spec.store else None
    return place_of(layout.state, postgres.url_env if postgres else "", environ)
