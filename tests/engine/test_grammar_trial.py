"""Schemas, patterns and grammars made to take for ever: a named error or a mask, in time, and the next one works."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import anyres
from anyres.constraints import Choices, Constraint, JsonSchema, Lark, Regex
from anyres.engine.grammar import GrammarCompiler
from anyres.engine.grammar_trial import Trial
from anyres.errors import ConstraintError
from anyres.processing.tokenizer import Tokenizer

# Of the parts that have a limit; on a busy machine others take what they take. The promise is 2 s on an idle one.
MOST_S = 2.0
SLACK = 5.0


@pytest.fixture(scope="module")
def compiler() -> Iterator[GrammarCompiler]:
    tokenizer = Tokenizer.from_folder(Path(anyres.__file__).parent / "checkpoints" / "tiny")
    made = GrammarCompiler(tokenizer, vocab_size=2062, eos_token_ids=[2050])
    made.matcher(Choices(("started",)))
    yield made
    made.close()


def references(depth: int) -> dict[str, Any]:
    """2 ** depth ways to the end."""
    links = {
        f"d{number}": {"anyOf": [{"$ref": f"#/$defs/d{number + 1}"}, {"items": {"$ref": f"#/$defs/d{number + 1}"}}]}
        for number in range(depth)
    }
    return {"$defs": {**links, f"d{depth}": {"type": "string"}}, "$ref": "#/$defs/d0"}


def merged(depth: int) -> dict[str, Any]:
    """2 ** depth merges."""
    links = {
        f"d{number}": {"allOf": [{"$ref": f"#/$defs/d{number + 1}"}, {"$ref": f"#/$defs/d{number + 1}"}]}
        for number in range(depth)
    }
    return {"$defs": {**links, f"d{depth}": {"properties": {"a": {"type": "string"}}}}, "$ref": "#/$defs/d0"}


def crossed(count: int) -> dict[str, Any]:
    """2 ** count combinations."""
    pairs = [({f"p{number}": {"type": "string"}}, {f"q{number}": {"type": "integer"}}) for number in range(count)]
    return {"allOf": [{"anyOf": [{"properties": one} for one in pair]} for pair in pairs]}


HOSTILE: dict[str, Constraint] = {
    "eight thousand properties": JsonSchema(
        {"properties": {f"k{number}": {"type": "string"} for number in range(8_000)}}
    ),
    "references": JsonSchema(references(60)),
    "merges": JsonSchema(merged(40)),
    "combinations": JsonSchema(crossed(24)),
    "itself": JsonSchema({"$ref": "#"}),
    "itself in itself": JsonSchema({"anyOf": [{"$ref": "#"}, {"items": {"$ref": "#"}}]}),
    "patterns that must differ": JsonSchema(
        {"patternProperties": {f"(a|b)*a(a|b){{{n}}}": True for n in range(4, 60)}}
    ),
    "patterns at once": JsonSchema(
        {"allOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{{n}}}"} for n in range(9, 30)]}
    ),
    "a large enum": JsonSchema({"enum": [f"{number * 7919:020d}" for number in range(9000)]}),
    "a long list": JsonSchema({"items": {"maxLength": 1000}, "minItems": 10_000, "maxItems": 10**9}),
    "a long text": JsonSchema({"type": "string", "minLength": 10**6, "maxLength": 10**9}),
    "a multiple": JsonSchema({"type": "integer", "multipleOf": 10**9 + 7, "minimum": -(10**15), "maximum": 10**15}),
    "plus of plus": Regex("(a+)+$"),
    "long repetition": Regex(".{1,99999}"),
    "repetition of repetition": Regex("((((a{1,100}){1,100}){1,100}){1,100})"),
    "subsets": Regex("(a|b)*a(a|b){500}"),
    "words": Regex(r"(\w+\s*){1,5000}\p{L}+"),
    "alternatives": Regex("|".join(f"{number}.*x{number}" for number in range(9000))),
    "a long pattern": Regex("ab" * 130_000),
    "brackets": Regex("(" * 9000 + "a" + ")" * 9000),
    "brackets of a grammar": Lark("start: " + "(" * 90_000 + '"a"' + ")" * 90_000),
    "many rules": Lark("start: r0\n" + "".join(f'r{n}: r{n + 1} r{n + 1} | "a"\n' for n in range(5000)) + 'r5000: "b"'),
    "ambiguity": Lark('start: start start | "a" | '),
    "negations": Lark("start: X\nX: " + " & ".join(f"~/(?s:.*)a(?s:.){{{n}}}b(?s:.*)/" for n in range(20))),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_grammars_are_refused_or_served_in_time(compiler: GrammarCompiler, kind: str) -> None:
    started = time.perf_counter(), time.process_time()
    with contextlib.suppress(ConstraintError):
        assert compiler.matcher(HOSTILE[kind]).mask().any()
    assert time.perf_counter() - started[0] < MOST_S * SLACK
    assert time.process_time() - started[1] < MOST_S
    assert compiler.matcher(Choices(("after", "wards"))).mask().any()


def test_a_grammar_that_takes_too_long_is_named() -> None:
    tokenizer = Tokenizer.from_folder(Path(anyres.__file__).parent / "checkpoints" / "tiny")
    hasty = GrammarCompiler(tokenizer, vocab_size=2062, eos_token_ids=[2050], trial_s=0.01)
    with pytest.raises(ConstraintError, match=r"not ready after 0\.01 s"):
        hasty.matcher(HOSTILE["eight thousand properties"])
    hasty.close()


def test_a_process_that_dies_is_replaced() -> None:
    trial = Trial(["<|im_end|>"], timeout_s=20)
    grammar = json.dumps({"grammars": [{"lark_grammar": 'start: "a" <|im_end|>'}]})
    assert trial.error_of(grammar) == ""
    process = trial._process
    assert process is not None
    process.kill()
    process.wait()
    assert trial.error_of(grammar) == ""
    assert trial._process is not process
    trial.close()
    trial.close()


def test_what_kills_the_process_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(["<|im_end|>"], timeout_s=20)
    grammar = json.dumps({"grammars": [{"lark_grammar": 'start: "a"'}]})
    assert trial.error_of(grammar) == ""
    process = trial._process
    assert process is not None
    assert process.stdin is not None
    monkeypatch.setattr(process.stdin, "write", lambda line: process.kill())
    with pytest.raises(ConstraintError, match="memory"):
        trial.error_of(grammar)
    assert trial.error_of(grammar) == ""
    trial.close()


def test_errors_of_grammars_are_the_librarys_words() -> None:
    trial = Trial(["<|im_end|>"], timeout_s=20)
    assert "nowhere" in trial.error_of(json.dumps({"grammars": [{"lark_grammar": "start: nowhere"}]}))
    trial.close()
