"""Rude words are left out when packs are read, and few others."""

import lzma
from pathlib import Path

import pytest

from recipes.tiny.assets import TEXTS, Assets
from recipes.tiny.corpus import corpus
from recipes.tiny.rude import is_rude


@pytest.mark.parametrize(
    "word", ["SHIT", "shitty", "Fucked", "bastards", "scheiß", "puta", "merde", "сука", "强奸", "セックス", "섹스"]
)
def test_common_rude_words_are_known(word: str) -> None:
    assert is_rude(word)


@pytest.mark.parametrize(
    "word",
    ["Shetland", "cocktail", "Dickens", "computa", "reputation", "title", "grape", "drape", "skirt", "document",
     "Scunthorpe", "Husband", "circumference", "analysis", "peacock", "мудрость", "سكان", "حزب", "性格", "ピエロ"],
)  # fmt: skip
def test_harmless_words_that_look_like_them_stay(word: str) -> None:
    assert not is_rude(word)


def test_packs_are_read_without_them(tmp_path: Path) -> None:
    lines = ["train\ten\t\tword\ttable", "train\ten\t\tword\tshit", "held_out\ten\t\tword\tfucked"]
    lines += ["train\ten\t\tname\tMoby Dick", "train\ten\tbook\tparagraph\tThe word shit stands in a sentence."]
    (tmp_path / TEXTS).write_bytes(lzma.compress("\n".join(lines).encode()))
    assets = Assets.open(tmp_path)
    assert assets.words("en", "train") == ("table",)
    assert assets.words("en", "held_out") == ()
    assert assets.phrases("name", "en", "train") == ("Moby Dick",)
    assert len(assets.sentences("en", "train")) == 1


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_the_committed_words_too(split: str) -> None:
    words = corpus(split).words
    assert len(words) > 5000
    assert not any(map(is_rude, words))
