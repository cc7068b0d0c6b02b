"""The Batch API on the gateway: how much a tenant may leave here, for how long, and how fast it is worked off."""

from __future__ import annotations

from pydantic import Field

from fairlead.spec.fields import Closed, Count
from fairlead.units import Bytes, Seconds


class Batches(Closed):
    """OpenAI's Files and Batch API; for roles with the operation batch, each tenant for itself.

    Kept in store.postgres where that is declared, shared by all gateways; else on the only gateway's disk.
    """

    max_file: Bytes = Field(200 * 2**20, ge=2**10, le=2**40)
    """Size of an uploaded file; more is answered with 413. At most 1Gi with store.postgres."""
    max_rows: Count = Field(50_000, ge=1, le=10_000_000)
    """Rows of a batch; one with more fails. At most 1,000,000 with store.postgres."""
    max_active: Count = Field(10, ge=1, le=10_000)
    """Batches of a tenant that have not ended; one more is answered with 429."""
    storage: Bytes = Field(10 * 2**30, ge=2**10)
    """Size of all files of a tenant; an upload beyond it is answered with 413. Outputs count too."""
    concurrency: Count = Field(8, ge=1, le=4096)
    """Rows running at once in a gateway, of all its batches together."""
    window: Seconds = Field(86_400.0, gt=0, le=30 * 86_400.0)
    """How long a batch may take before it expires; what callers have to ask for as completion_window."""
    retention: Seconds = Field(30 * 86_400.0, gt=0)
    """Files and ended batches are deleted at this age."""
