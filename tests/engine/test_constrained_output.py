"""200 random schemas and 100 random patterns, drawn by random logits: what comes to its end obeys, as others see it.

The judges are the `jsonschema` package and Python's `re`, the vocabularies the embedded checkpoint's and Qwen2's own.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from jsonschema import Draft202012Validator

import anyres
from anyres.constraints import Constraint, JsonSchema, Regex
from anyres.engine.grammar import GrammarCompiler
from anyres.processing.tokenizer import Tokenizer
from recipes.tiny.vocabulary import default_ranks_file, write_tokenizer
from tests.engine.drawing_tokens import drawn_ids
from tests.engine.random_constraints import random_regex, random_schema

LONGEST = 300  # ids; random logits do not end every text by then, and the counts below say how many they must


class Drawn(NamedTuple):
    text: str
    ended: bool


class Drawer:
    """Answers under a constraint, in one vocabulary."""

    def __init__(self, folder: Path, vocab_size: int) -> None:
        self.tokenizer = Tokenizer.from_folder(folder)
        self.vocab_size = vocab_size
        self.eos = self.tokenizer.special_id("<|im_end|>")
        self.compiler = GrammarCompiler(self.tokenizer, vocab_size=vocab_size, eos_token_ids=[self.eos])

    def draw(self, constraint: Constraint, seed: int) -> Drawn:
        matcher = self.compiler.matcher(constraint)
        ids = drawn_ids(matcher, self.tokenizer, self.vocab_size, seed=seed, limit=LONGEST)
        spelled = b"".join(self.tokenizer.token_bytes(one) for one in ids if one != self.eos)
        return Drawn(spelled.decode("utf-8", "strict" if matcher.done else "replace"), matcher.done)


@pytest.fixture(scope="module")
def embedded() -> Iterator[Drawer]:
    drawer = Drawer(Path(anyres.__file__).parent / "checkpoints" / "tiny", 2062)
    yield drawer
    drawer.compiler.close()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drawer]:
    """Qwen2's 151,643 ranks and its special tokens, in the padded vocabulary of the 2B checkpoint."""
    folder = tmp_path_factory.mktemp("qwen2")
    try:
        write_tokenizer(folder, default_ranks_file())
    except FileNotFoundError:
        pytest.skip("needs qwen.tiktoken of dashscope 1.20.14")
    drawer = Drawer(folder, 151_936)
    yield drawer
    drawer.compiler.close()


def check_schema(drawer: Drawer, seed: int) -> bool:
    """Whether the answer came to its end; fails where it does not obey."""
    schema = random_schema(seed)
    Draft202012Validator.check_schema(schema)
    drawn = drawer.draw(JsonSchema(schema, compact=seed % 3 == 0), seed)
    if drawn.ended:
        judge = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
        errors = [error.message for error in judge.iter_errors(json.loads(drawn.text))]
        assert not errors, (json.dumps(schema), drawn.text, errors)
    return drawn.ended


def check_regex(drawer: Drawer, seed: int) -> bool:
    pattern = random_regex(seed)
    drawn = drawer.draw(Regex(pattern), seed)
    if drawn.ended:
        assert re.fullmatch(pattern, drawn.text, re.ASCII), (pattern, drawn.text)
    return drawn.ended


def test_schemas_in_the_embedded_vocabulary(embedded: Drawer) -> None:
    assert sum(check_schema(embedded, seed) for seed in range(200)) >= 175


def test_patterns_in_the_embedded_vocabulary(embedded: Drawer) -> None:
    assert sum(check_regex(embedded, seed) for seed in range(100)) >= 75


def test_schemas_in_the_published_vocabulary(published: Drawer) -> None:
    assert sum(check_schema(published, seed) for seed in range(200, 212)) >= 8


def test_patterns_in_the_published_vocabulary(published: Drawer) -> None:
    assert sum(check_regex(published, seed) for seed in range(100, 110)) >= 6


@pytest.mark.slow
def test_all_schemas_in_the_published_vocabulary(published: Drawer) -> None:
    assert sum(check_schema(published, seed) for seed in range(200)) >= 175


@pytest.mark.slow
def test_all_patterns_in_the_published_vocabulary(published: Drawer) -> None:
    assert sum(check_regex(published, seed) for seed in range(100)) >= 75
