"""Masks against the texts they must allow, over the embedded checkpoint's own tokenizer and a padded vocabulary."""

import gc
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

import anyres
from anyres.chat import GenerationOptions
from anyres.constraints import Boxes, Choices, Constraint, JsonObject, JsonSchema, Lark, Regex
from anyres.engine.grammar import GrammarCompiler, Matcher
from anyres.engine.sampler import unpack_mask
from anyres.errors import ConstraintError
from anyres.grounding import parse_grounding
from anyres.processing.tokenizer import Tokenizer, byte_alphabet, tokenizer_spec
from tests.engine.drawing_tokens import drawn_ids
from tests.oracle import SPECIAL_IDS

PADDED = 2080  # 18 more than the tokenizer has
EOS = (2050, 2048)
TOTAL = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_folder(Path(anyres.__file__).parent / "checkpoints" / "tiny")


@pytest.fixture(scope="module")
def compiler(tokenizer: Tokenizer) -> Iterator[GrammarCompiler]:
    made = GrammarCompiler(tokenizer, vocab_size=PADDED, eos_token_ids=EOS)
    yield made
    made.close()


def allowed(mask_W: Tensor) -> list[int]:
    """Ids, straight from the bits."""
    words = [word % 2**32 for word in mask_W.tolist()]
    return [32 * place + bit for place, word in enumerate(words) for bit in range(32) if word >> bit & 1]


def takes(matcher: Matcher, tokenizer: Tokenizer, text: str) -> bool:
    """Whether a whole answer of these bytes, spelled one byte a token, is allowed to the end."""
    byte_ids = {tokenizer.token_bytes(one): one for one in range(2048) if len(tokenizer.token_bytes(one)) == 1}
    for value in text.encode():
        token_id = byte_ids[bytes([value])]
        if matcher.done or matcher.agreeing([token_id]) != 1:
            return False
        matcher.accept(token_id)
    return matcher.done or EOS[0] in allowed(matcher.mask())


@pytest.mark.parametrize(
    ("constraint", "right", "wrong"),
    [
        (Choices(("red", "green", "reddish")), ["red", "green", "reddish"], ["re", "redd", "blue", "Red", "red ", ""]),
        (Choices(("e\u0301 a", '"/\n')), ["e\u0301 a", '"/\n'], ["é a", '"/']),
        (Regex(r"\d{3}-\w+"), ["123-a_B", "000-0"], ["12-a", "123-", "123-é", "٣٣٣-a", "123-a "]),
        (Regex("^(a|bc)*$"), ["", "abca"], ["b", "ab"]),
        (Regex("a.c"), ["abc", "aéc", "a/c"], ["a\nc", "ac"]),
        (JsonObject(), ["{}", '{"a": [1, {"b": null}]}', '{\n  "a": "\\n"\n}'], ["[]", "{", '{"a"}', " {}", "{}{"]),
        (JsonObject(compact=True), ['{"a":[1,2]}'], ['{"a": 1}', "{ }"]),
        (JsonSchema(TOTAL), ['{"total": 3}', '{"total":-1, "x": []}'], ["{}", '{"total": 3.5}', '{"total": 03}']),
        (JsonSchema({"enum": ["<|im_end|>", 1]}), ['"<|im_end|>"', "1"], ["<|im_end|>", "2"]),
        (JsonSchema(True), ['"a"', "[1]", "null"], ["nul", "a"]),
        (Lark('start: "(" start ")" | "x"'), ["x", "((x))"], ["(x", "x)", ""]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_grammars_take_what_they_should(
    compiler: GrammarCompiler, tokenizer: Tokenizer, constraint: Constraint, right: list[str], wrong: list[str]
) -> None:
    assert [text for text in right if not takes(compiler.matcher(constraint), tokenizer, text)] == []
    assert [text for text in wrong if takes(compiler.matcher(constraint), tokenizer, text)] == []


@pytest.mark.parametrize("constraint", [Regex(r"(.|\n)*"), JsonObject(), JsonSchema(True), Lark("start: /(.|\\n)*/")])
def test_special_tokens_and_padding_are_no_text(compiler: GrammarCompiler, constraint: Constraint) -> None:
    """The model may spell <|im_end|> letter by letter in a text, and never says the token for it."""
    matcher = compiler.matcher(constraint)
    for _ in range(3):
        ids = allowed(matcher.mask())
        assert [one for one in ids if one >= 2048 and one not in EOS] == []
        assert matcher.mask().dtype == torch.int32
        assert len(matcher.mask()) == -(-PADDED // 32)
        matcher.accept(next(one for one in ids if one < 2048))


def test_masks_are_what_the_sampler_reads(compiler: GrammarCompiler) -> None:
    mask_W = compiler.matcher(Regex("[a-f]+[0-9]")).mask()
    assert unpack_mask(mask_W[None], PADDED)[0].nonzero()[:, 0].tolist() == allowed(mask_W)


def test_an_answer_that_can_go_on_may_also_end(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = compiler.matcher(Regex("a+"))
    assert not set(EOS) & set(allowed(matcher.mask()))
    matcher.accept(*tokenizer.encode_text("a"))
    assert set(EOS) <= set(allowed(matcher.mask()))
    matcher.accept(EOS[1])
    assert matcher.done


def test_what_is_forced_needs_no_model(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = compiler.matcher(JsonSchema({**TOTAL, "additionalProperties": False}, compact=True))
    forced = matcher.forced()
    assert tokenizer.decode(forced) == '{"total":'
    assert forced == tokenizer.encode_text('{"total":')
    matcher.accept(*forced)
    assert matcher.forced() == []
    matcher.accept(*tokenizer.encode_text("7}"))
    assert matcher.done
    assert matcher.forced() == []


@pytest.mark.parametrize("text", ["e\u0301e\u0301 café", "한국어", "\u1112\u1161\u11ab", "🙂\u200d🙂", "ﬁ ① Å"])
def test_forced_text_keeps_its_bytes(compiler: GrammarCompiler, tokenizer: Tokenizer, text: str) -> None:
    """The tokenizer composes letters and accents (NFC), which would be other bytes than the grammar's."""
    matcher = compiler.matcher(Choices((text,)))
    ids: list[int] = []
    while not matcher.done:
        step = matcher.forced() or allowed(matcher.mask())[:1]
        ids += step
        matcher.accept(*step)
    assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()


def test_forcing_changes_no_answer(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    """The likeliest allowed token each time gives the same ids whether or not forced ones are taken at once."""
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "kind": {"enum": ["receipt", "receivable"]}, "n": {"type": "null"}},
        "required": ["name", "kind", "n"],
        "additionalProperties": False,
    }
    for seed in range(5):
        results = [
            drawn_ids(compiler.matcher(JsonSchema(schema)), tokenizer, PADDED, seed=seed, forcing=forcing)
            for forcing in (True, False)
        ]
        assert results[0] == results[1]


@pytest.mark.parametrize("boxes", [Boxes(), Boxes("point", named=True), Boxes("any", least=2, most=3)])
def test_boxes_are_read_by_the_parser_of_answers(compiler: GrammarCompiler, tokenizer: Tokenizer, boxes: Boxes) -> None:
    for seed in range(6):
        ids = drawn_ids(compiler.matcher(boxes), tokenizer, PADDED, seed=seed, limit=400)
        text = tokenizer.decode([one for one in ids if one not in EOS], skip_special=False)
        found = parse_grounding(text)
        # Corners may come in any order; the grammar promises the form.
        assert {problem.reason for problem in found.problems} <= {"corners swapped"}
        count = len(found.boxes) + len(found.points)
        assert boxes.least <= count <= boxes.most
        assert boxes.kind != "box" or not found.points
        assert boxes.kind != "point" or not found.boxes
        assert all(bool(one.label) == boxes.named for one in (*found.boxes, *found.points)) or boxes.named


def test_no_box_may_be_an_answer(compiler: GrammarCompiler) -> None:
    assert set(EOS) <= set(allowed(compiler.matcher(Boxes(least=0)).mask()))


def test_copies_and_drafts_leave_the_matcher_where_it_is(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = compiler.matcher(Regex("ab(c|d)e*"))
    twin = matcher.copy()
    ids = [*tokenizer.encode_text("a"), *tokenizer.encode_text("b"), *tokenizer.encode_text("c")]
    before = matcher.mask()
    assert matcher.agreeing([*ids, 5]) == 3
    masks = matcher.masks_along(ids)
    assert torch.equal(matcher.mask(), before)
    for place, token_id in enumerate(ids):
        assert torch.equal(twin.mask(), masks[place])
        twin.accept(token_id)
    assert torch.equal(twin.mask(), masks[3])
    assert torch.equal(matcher.mask(), before)
    assert not matcher.done


def test_drafts_to_the_end(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = compiler.matcher(Choices(("ab",)))
    ids = [*tokenizer.encode_text("a"), *tokenizer.encode_text("b")]
    assert len(matcher.masks_along(ids)) == 2
    assert matcher.masks_along([])[0] is not None
    matcher.accept(*ids)
    assert matcher.done


def test_matchers_of_one_grammar_do_not_meet(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    first, second = (compiler.matcher(Choices(("ab", "cd"))) for _ in range(2))
    first.accept(*tokenizer.encode_text("a"))
    assert takes(second, tokenizer, "cd")
    assert takes(first, tokenizer, "b")


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (JsonSchema({"not": {}}), "keyword 'not'"),
        (JsonSchema(False), "false"),
        (JsonSchema({"type": "bogus"}), "bogus"),
        (JsonSchema({"type": "integer", "minimum": 5, "maximum": 3}), "minimum"),
        (JsonSchema({"$ref": "#/$defs/nowhere"}), "nowhere"),
        (JsonSchema({"$ref": "https://example.org/schema"}), "example.org"),
        (JsonSchema({"type": "string", "format": "postcode"}), "postcode"),
        (JsonSchema({"type": "string", "pattern": "(?=a)"}), "look"),
        (JsonSchema({"oneOf": [{"type": "string"}, {"maxLength": 3}]}), "oneOf"),
        (Regex("("), "regex"),
        (Regex("a^b"), "look"),
        (Regex(r"(a)\1"), "backreference"),
        (Lark(""), "start"),
        (Lark("start: nowhere"), "nowhere"),
        (Lark('start: "a" <|image_pad|>'), "image_pad"),
        (Lark("start: <[2060]>"), "2060"),
        (Lark('start: start "a"'), ""),
    ],
    ids=str,
)
def test_what_cannot_be_obeyed_is_named(compiler: GrammarCompiler, constraint: Constraint, words: str) -> None:
    for _ in range(2):  # the second answer comes from the cache
        with pytest.raises(ConstraintError) as caught:
            compiler.matcher(constraint)
        assert words in str(caught.value)
        assert len(str(caught.value)) < 600


def test_a_matcher_refuses_what_its_grammar_does_not_allow(compiler: GrammarCompiler, tokenizer: Tokenizer) -> None:
    matcher = compiler.matcher(Choices(("ab",)))
    with pytest.raises(ConstraintError):
        matcher.accept(*tokenizer.encode_text("x"))


def test_the_cache_is_bounded_and_forgets_the_oldest(tokenizer: Tokenizer) -> None:
    compiler = GrammarCompiler(tokenizer, vocab_size=PADDED, eos_token_ids=EOS, cache_bytes=1_000_000)
    for number in range(60):
        compiler.matcher(Choices((f"word {number}",)))
        assert compiler.held_bytes <= 1_000_000
    assert 5 < len(compiler) < 60
    known = len(compiler)
    compiler.matcher(Choices(("word 59",)))
    assert len(compiler) == known
    with pytest.raises(ConstraintError):
        compiler.matcher(Regex("("))
    assert compiler.held_bytes <= 1_000_000
    compiler.close()


def test_a_compiler_that_is_dropped_leaves_no_process(tokenizer: Tokenizer) -> None:
    compiler = GrammarCompiler(tokenizer, vocab_size=PADDED, eos_token_ids=EOS)
    compiler.matcher(Choices(("a",)))
    process = compiler._trial._process
    assert process is not None
    del compiler
    gc.collect()
    assert process.poll() is not None


def test_tokens_are_taken_as_bytes_whatever_the_vocabulary() -> None:
    """A vocabulary of the 256 bytes alone, where every letter beyond ASCII is several tokens."""
    vocab = {char: value for value, char in enumerate(byte_alphabet())}
    tokenizer = Tokenizer(tokenizer_spec(vocab, [], SPECIAL_IDS))
    size = tokenizer.vocab_size
    eos = tokenizer.special_id("<|im_end|>")
    compiler = GrammarCompiler(tokenizer, vocab_size=size, eos_token_ids=[eos])
    matcher = compiler.matcher(JsonSchema({"const": "é中"}))
    assert tokenizer.decode(matcher.forced()) == '"é中"'
    free = compiler.matcher(JsonSchema({"type": "string", "minLength": 1}))
    ids = drawn_ids(free, tokenizer, size, seed=1, limit=300)
    assert isinstance(json.loads(tokenizer.decode(ids)), str)
    compiler.close()


def test_options_carry_constraints() -> None:
    assert GenerationOptions().constraint is None
