"""No test fails because the machine is busy: hypothesis's own time limit for an example is off, as it is in CI."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", settings(), deadline=None)
settings.load_profile("unhurried")
