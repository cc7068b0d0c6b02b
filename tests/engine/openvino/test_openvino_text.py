"""Ids to text and text to prompt: the rules that hold without an engine."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_models import TEMPLATE, byte_tokenizer
from tokenizers import Tokenizer, decoders, models

from fairlead.engine.openvino.api_error import ApiError
from fairlead.engine.openvino.choice import Choice, Delta
from fairlead.engine.openvino.detokenize import Detokenizer, byte_table
from fairlead.engine.openvino.stops import StopMatcher
from fairlead.engine.openvino.tokenizer import ChatTemplate
from fairlead.engine.openvino.wire import Message

TOKENIZER = byte_tokenizer()
TABLE, _ = byte_table(TOKENIZER, TOKENIZER.get_vocab_size())
END = TOKENIZER.encode("<|im_end|>").ids[0]


def ids_of(chars: str) -> list[int]:
    """One token for each character of the byte alphabet."""
    vocab = TOKENIZER.get_vocab()
    return [vocab[char] for char in chars]


def pieces(detokenizer: Detokenizer, ids: list[int]) -> list[str]:
    return [*(detokenizer.feed([index]) for index in ids), detokenizer.finish()]


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_pieces_add_up_to_the_text(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert "".join(pieces(Detokenizer(TABLE), ids)) == TOKENIZER.decode(ids, skip_special_tokens=True)


@given(st.lists(st.integers(0, len(TABLE) - 1)))
def test_any_ids_give_what_the_tokenizer_itself_decodes(ids: list[int]) -> None:
    assert "".join(pieces(Detokenizer(TABLE), ids)) == TOKENIZER.decode(ids, skip_special_tokens=True)


def test_no_half_character_is_shown() -> None:
    ids = ids_of("ðŁĻĤ")  # the four bytes of one emoji in the byte alphabet
    assert pieces(Detokenizer(TABLE), ids) == ["", "", "", "🙂", ""]
    assert pieces(Detokenizer(TABLE), ids[:2]) == ["", "", "\ufffd"]


def test_sentencepiece_tokens_spell_spaces_and_bytes() -> None:
    vocab = {"<unk>": 0, "\u2581a": 1, "\u2581": 2, "<0xE6>": 3, "<0xBC>": 4, "<0xA2>": 5, "b": 6}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[], unk_token="<unk>", byte_fallback=True))
    replace, strip = decoders.Replace("\u2581", " "), decoders.Strip(" ", 1, 0)
    tokenizer.decoder = decoders.Sequence([replace, decoders.ByteFallback(), decoders.Fuse(), strip])
    table, strips = byte_table(tokenizer, len(vocab))
    ids = [1, 6, 3, 4, 5, 1]
    assert "".join(pieces(Detokenizer(table, strip_space=strips), ids)) == tokenizer.decode(ids) == "ab漢 a"


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
def test_the_text_ends_before_the_earliest_stop_however_it_is_cut(text: str, stops: list[str], data: Any) -> None:
    matcher = StopMatcher(tuple(stops))
    sent, hit, rest = "", False, text
    while rest and not hit:
        size = data.draw(st.integers(1, len(rest)))
        piece, rest = rest[:size], rest[size:]
        safe, hit = matcher.feed(piece)
        sent += safe
        assert not any(stop in sent for stop in stops)
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    assert hit == bool(ends)
    if not hit:
        assert sent + matcher.finish() == text
    else:  # of several stops, the one that is complete first counts
        assert text.startswith(sent)
        assert any(text.startswith(sent + stop) for stop in stops)


def feed_all(choice: Choice, ids: list[int], finish: str) -> list[Delta]:
    deltas = [choice.feed([index], [-0.5], None, frozenset({END})) for index in ids[:-1]]
    return [*deltas, choice.feed(ids[-1:], [-0.5], finish, frozenset({END}))]


def new_choice(*stops: str) -> Choice:
    return Choice(0, Detokenizer(TABLE), stops, TABLE, logprobs=True)


def test_a_stop_string_across_tokens_leaks_nothing() -> None:
    ids = ids_of("abSTOPcd")
    choice = new_choice("STOP")
    texts = []
    for index in ids:
        delta = choice.feed([index], [-0.5], None, frozenset({END}))
        texts.append(delta.text)
        if delta.finish:
            break
    assert ("".join(texts), choice.finish, choice.tokens) == ("ab", "stop", 6)


def test_held_back_text_comes_out_when_the_answer_ends() -> None:
    deltas = feed_all(new_choice("STOP"), ids_of("abST"), "length")
    assert "".join(delta.text for delta in deltas) == "abST"
    assert deltas[-1].finish == "length"


def test_the_end_token_is_counted_but_neither_shown_nor_scored() -> None:
    choice = new_choice()
    deltas = feed_all(choice, [*ids_of("a"), END], "stop")
    assert [delta.text for delta in deltas] == ["a", ""]
    assert [len(delta.logprobs) for delta in deltas] == [1, 0]
    assert choice.tokens == 2


def test_the_template_joins_text_parts_and_calls_a_developer_system() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    prompt = ChatTemplate(TEMPLATE, {}).render([Message("developer", "rule"), Message("user", parts)], {})
    assert prompt == "<|im_start|>system\nrule<|im_end|>\n<|im_start|>user\nab<|im_end|>\n<|im_start|>assistant\n"


REFUSED_MESSAGES = {
    "no messages": ([], TEMPLATE, "messages"),
    "an image": ([Message("user", [{"type": "image_url"}])], TEMPLATE, "messages.0.content.0"),
    "a tool's answer": ([Message("user", "x"), Message("tool", "y")], TEMPLATE, "messages.1.role"),
    "the template's own refusal": ([Message("user", "x")], "{{ raise_exception('roles must alternate') }}", "messages"),
    "a template that breaks out": ([Message("user", "x")], "{{ ''.__class__.__mro__ }}", "messages"),
}


@pytest.mark.parametrize(("messages", "template", "param"), REFUSED_MESSAGES.values(), ids=REFUSED_MESSAGES)
def test_refused_messages_name_the_part_at_fault(messages: list[Message], template: str, param: str) -> None:
    with pytest.raises(ApiError) as refusal:
        ChatTemplate(template, {}).render(messages, {})
    assert (refusal.value.status, refusal.value.body["error"]["param"]) == (400, param)
