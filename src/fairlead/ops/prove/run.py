"""Try every proof on one stage, one after the other."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fairlead.errors import UserError
from fairlead.ops.prove.outcome import Finding, Outcome, Proof, Verdict
from fairlead.ops.prove.registry import PROOFS
from fairlead.ops.prove.stage import GATEWAY, Stage, open_stage
from fairlead.spec.types import Spec
from fairlead.spec.variables import with_values

TIME_LIMIT_S = 120.0  # for one experiment; one that hangs has failed


def prove(
    spec: Spec,
    *,
    only: Sequence[str] = (),
    started: Callable[[Proof], None] = lambda proof: None,
    finished: Callable[[Finding], None] = lambda finding: None,
    gateway_argv: tuple[str, ...] = GATEWAY,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> list[Finding]:
    """Try the proofs (all, or those named). Raises UserError for an unknown id, or when the service does not start."""
    known = {proof.id for proof in PROOFS}
    if unknown := sorted(set(only) - known):
        raise UserError(f"no proof {unknown[0]!r}", hint=f"there are: {', '.join(sorted(known))}")
    chosen = [proof for proof in PROOFS if not only or proof.id in only]
    with tempfile.TemporaryDirectory(prefix="fairlead-prove-") as folder:
        return asyncio.run(
            _prove(spec, chosen, folder=Path(folder), argv=gateway_argv, environ=environ, tell=(started, finished))
        )


async def _prove(
    spec: Spec,
    chosen: Sequence[Proof],
    *,
    folder: Path,
    argv: tuple[str, ...],
    environ: Mapping[str, str],
    tell: tuple[Callable[[Proof], None], Callable[[Finding], None]],
) -> list[Finding]:
    findings: list[Finding] = []
    started, finished = tell
    async with open_stage(with_values(spec, environ), folder, argv) as stage:
        for proof in chosen:
            started(proof)
            findings.append(await try_proof(proof, stage, spec))
            finished(findings[-1])
    return findings


async def try_proof(proof: Proof, stage: Stage, declared: Spec) -> Finding:
    """One proof. An experiment that breaks off or hangs has not proved anything: failed.

    The claim is told from the file as it was written: without the values of its variables.
    """
    claim = proof.claim(declared)
    why_not = proof.applies(stage.declared) or proof.needs(stage)
    if why_not:
        return Finding(proof.id, claim, "skipped", proof.evidence, why_not, 0.0)
    began = time.monotonic()
    try:
        outcome = await asyncio.wait_for(proof.experiment(stage), TIME_LIMIT_S)
    except Exception as error:  # noqa: BLE001 - whatever stops the experiment, the claim is not proved
        outcome = Outcome(False, "the experiment broke off", f"{type(error).__name__}: {error}")
    verdict: Verdict = "passed" if outcome.holds else "failed"
    seconds = round(time.monotonic() - began, 2)
    return Finding(proof.id, claim, verdict, proof.evidence, outcome.figure, seconds, outcome.detail)
