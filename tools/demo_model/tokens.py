"""One byte-level BPE for both versions, so that any UTF-8 text round-trips; trained on the corpus itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import knowledge
from corpus import Conversation, Corpus, Text
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

END, TURN, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 1600
SAMPLES = 6000
SEED = 7


def trained() -> Tokenizer:
    """Digits are split from the rest but not from one another: a small number is one token, so sums are easy."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, TURN, TURN_END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


def texts() -> Iterator[str]:
    yield from (str(number) for number in range(101) for _ in range(1000))  # so that each becomes a token of its own
    for version in knowledge.VERSIONS:
        for example in islice(Corpus(version, SEED).examples(), SAMPLES):
            yield from pieces(example)


def pieces(example: Conversation | Text) -> Iterator[str]:
    if isinstance(example, Text):
        yield "".join(given + wanted for given, wanted in example.parts)
        return
    yield f"system\n{example.system}\nuser\nassistant\n"
    for turn in example.turns:
        yield turn.question
        yield turn.answer


def segments(example: Conversation | Text) -> Iterator[tuple[str, bool]]:
    """The text of an example in the chat format, with True for what the model has to learn to say."""
    if isinstance(example, Text):
        for given, wanted in example.parts:
            yield given, False
            yield wanted, True
        yield END, True
        return
    if example.system:
        yield f"{TURN}system\n{example.system}{TURN_END}\n", False
    for turn in example.turns:
        yield f"{TURN}user\n{turn.question}{TURN_END}\n{TURN}assistant\n", False
        yield f"{turn.answer}{TURN_END}", True
        yield "\n", False
    yield END, False
