"""Train the demo model from nothing but the seed: v1 from scratch, v2 on from v1, as a later version of a model.

python tools/demo_model/train.py [v1] [v2]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import export
import knowledge
import tokens
import torch
from corpus import Corpus
from model import Llama, Shape
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

OUTPUT = Path(__file__).parents[2] / "src/fairlead/demo"
SEED = 1
STEPS = {"v1": 800, "v2": 600}
TOKENS_PER_STEP = 2048
LENGTHS = (*[256] * 5, 768, *[256] * 5, 1536)  # short rows are cheap; the long ones teach far prompts
PEAK_MATRIX_RATE, PEAK_VECTOR_RATE = 0.02, 0.004
IGNORED = -100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(knowledge.VERSIONS))
    parser.add_argument("--steps", type=int, help=f"default: {STEPS}")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = tokens.trained()
    for version in options.versions:
        card = Path(__file__).with_name("card.md").read_text(encoding="utf-8").replace("VERSION", version)
        model = beginning(version, tokenizer, options.output)
        train(model, version, tokenizer, options.steps or STEPS[version])
        export.write(model, tokenizer, options.output / version, card)


def beginning(version: str, tokenizer: Tokenizer, output: Path) -> Llama:
    """The model before training: random for the first version, else the folder of the version before."""
    torch.manual_seed(SEED)
    if version == knowledge.VERSIONS[0]:
        return Llama(Shape(tokenizer.get_vocab_size()))
    before = knowledge.VERSIONS[knowledge.VERSIONS.index(version) - 1]
    return export.read(output / before)[0].train()


def train(model: Llama, version: str, tokenizer: Tokenizer, steps: int) -> None:
    optimizers = (muon(model), torch.optim.AdamW(vectors(model), betas=(0.9, 0.98), weight_decay=0.0))
    batches = rows(version, tokenizer)
    started = time.monotonic()
    for step in range(steps):
        schedule(optimizers, step / steps)
        loss = loss_of(model, *next(batches))
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if step % 20 == 0 or step == steps - 1:
            print(f"{version} step {step} loss {loss.item():.3f} {time.monotonic() - started:.0f} s", flush=True)


def schedule(optimizers: tuple[torch.optim.Optimizer, ...], done: float) -> None:
    """Warm up over 3 %, hold, and fall linearly to nothing over the last 60 %."""
    factor = min(1.0, done / 0.03 + 0.05, (1.0 - done) / 0.6 + 0.01)
    for optimizer, peak in zip(optimizers, (PEAK_MATRIX_RATE, PEAK_VECTOR_RATE), strict=True):
        for group in optimizer.param_groups:
            group["lr"] = peak * factor


def loss_of(model: Llama, ids: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy on the wanted tokens only; the vocabulary is projected for no others."""
    hidden = model(ids).flatten(0, 1)
    places = (wanted.flatten() != IGNORED).nonzero().squeeze(1)
    return functional.cross_entropy(model.logits(hidden[places]), wanted.flatten()[places])


def rows(version: str, tokenizer: Tokenizer) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of input ids and wanted next ids, conversations packed one after the other."""
    stream = (encoded(tokenizer, list(tokens.segments(example))) for example in Corpus(version, SEED).examples())
    step = 0
    while True:
        length = LENGTHS[step % len(LENGTHS)]
        batch = [packed(stream, length + 1) for _ in range(TOKENS_PER_STEP // length)]
        ids = torch.tensor([row for row, _ in batch])
        learnt = torch.tensor([mask for _, mask in batch])
        yield ids[:, :-1], ids[:, 1:].masked_fill(~learnt[:, 1:], IGNORED)
        step += 1


def packed(stream: Iterator[tuple[list[int], list[bool]]], length: int) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    learnt: list[bool] = []
    while len(ids) < length:
        more, mask = next(stream)
        if len(more) > 2 * length:
            continue  # nothing of its answer would fit
        ids += more
        learnt += mask
    return ids[:length], learnt[:length]


def encoded(tokenizer: Tokenizer, parts: list[tuple[str, bool]]) -> tuple[list[int], list[bool]]:
    ids: list[int] = []
    learnt: list[bool] = []
    for part, wanted in parts:
        piece = tokenizer.encode(part).ids
        ids += piece
        learnt += [wanted] * len(piece)
    return ids, learnt


def vectors(model: Llama) -> list[Tensor]:
    matrices = {id(matrix) for matrix in matrices_of(model)}
    return [parameter for parameter in model.parameters() if id(parameter) not in matrices]


def matrices_of(model: Llama) -> list[Tensor]:
    return [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]


def muon(model: Llama) -> torch.optim.Optimizer:
    return Muon(matrices_of(model), {"lr": PEAK_MATRIX_RATE, "momentum": 0.95})


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates (Jordan et al., 2024), in float32: needs about half of AdamW's steps."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonal(weight.grad.lerp(momentum, group["momentum"]))
                scale = max(1.0, weight.shape[0] / weight.shape[1]) ** 0.5
                weight.mul_(1 - group["lr"] * 0.05).add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor, rounds: int = 5) -> Tensor:
    """Newton-Schulz: all singular values towards one."""
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-7)
    for _ in range(rounds):
        square = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * square + 2.0315 * square @ square) @ wide
    return wide if matrix.shape[0] <= matrix.shape[1] else wide.T


if __name__ == "__main__":
    main()
