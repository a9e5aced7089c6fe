"""Assets: what the factory prints with, from packs and without them."""

import lzma
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from anyres.errors import MissingDependencyError, OptionError
from recipes.tiny import assets, fonts
from recipes.tiny.assets import LANGUAGES, SCRIPTS, SPLITS, Assets, Block, PackedFace, script_of, sentences_of

LINES = (
    "train\ten\tgnome/a\ttitle\tConnect a mouse",
    "train\ten\tgnome/a\tparagraph\tPress the button. Then wait a while.",
    "held_out\ten\tgnome/b\tparagraph\tPress the button. Nothing happens!",
    "train\tzh\tgnome/a\tparagraph\t按下按钮。然后等待。",
    "train\tde\t\tname\tAnna Müller",
    "held_out\tde\t\tname\tKarl Weiß",
)


@pytest.fixture(scope="module")
def plain() -> Assets:
    """Opened from what is committed and installed."""
    return Assets.open(Path(__file__).parent)


def pack(folder: Path, font: bytes) -> Assets:
    """A folder with small packs, opened."""
    (folder / assets.TEXTS).write_bytes(lzma.compress("\n".join(LINES).encode()))
    with zipfile.ZipFile(folder / assets.FONTS, "w") as members:
        members.writestr("train/latin/round/Round-Regular.ttf", font)
        members.writestr("train/latin/round/Round-Italic~.ttf", font)
        members.writestr("held_out/latin/square/Square.ttf", font)
        members.writestr("train/arabic/naskh/Naskh.ttf", font)
    return Assets.open(folder)


def some_font() -> bytes:
    """The bytes of the face built into Pillow."""
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    font.path.seek(0)
    return bytes(font.path.read())


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Packs are unpacked into a folder of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("unpacked")))
        yield


@pytest.fixture(scope="module")
def packed(scratch: None, tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """Opened from packs."""
    return pack(tmp_path_factory.mktemp("packs"), some_font())


# ---- without packs ----


def test_without_packs_there_is_english_in_latin_letters(plain: Assets) -> None:
    for split in SPLITS:
        assert plain.families("latin", split)
        assert len(plain.sentences("en", split)) > 500
        assert len(plain.words("en", split)) > 5_000
        assert "en" in plain.languages(split)
        assert "zh" not in plain.languages(split)


def test_without_packs_other_scripts_and_languages_are_empty(plain: Assets) -> None:
    assert plain.families("han", "train") == ()
    assert plain.sentences("zh", "train") == ()
    assert plain.documents("ko", "train") == ()


@pytest.mark.parametrize("language", ["en", "de"])
def test_splits_share_no_sentence_and_no_word(plain: Assets, language: str) -> None:
    assert not set(plain.sentences(language, "train")) & set(plain.sentences(language, "held_out"))
    assert not set(plain.words(language, "train")) & set(plain.words(language, "held_out"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_splits_share_no_family(plain: Assets, script: str) -> None:
    trained, held_out = (
        {face.family for family in plain.families(script, split) for face in family} for split in SPLITS
    )
    assert not trained & held_out or trained == {"builtin"}


def test_on_a_bare_machine_pillows_own_face_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    def bare() -> fonts.FontSet:
        raise MissingDependencyError("fonts", "none", "apt-get install fonts")

    monkeypatch.setattr(assets, "system_fonts", bare)
    faces = assets.installed_faces()
    assert [face.name for family in faces["latin", "held_out"] for face in family] == ["Aileron"]
    assert ("han", "train") not in faces


def test_unknown_names_are_option_errors(plain: Assets) -> None:
    with pytest.raises(OptionError, match="test; allowed: train, held_out"):
        plain.sentences("en", "test")
    with pytest.raises(OptionError, match="runes"):
        plain.families("runes", "train")
    with pytest.raises(OptionError, match="xx"):
        script_of("xx")


def test_a_pack_that_is_not_there_names_the_command(plain: Assets) -> None:
    with pytest.raises(MissingDependencyError, match=r"icons\.zip.*python -m recipes\.tiny\.pack"):
        plain.read("icons.zip")


def test_every_language_has_a_script() -> None:
    assert set(LANGUAGES.values()) <= set(SCRIPTS)
    assert script_of("ja") == "kana"


# ---- packs ----


def test_packed_faces_are_grouped_by_design(packed: Assets) -> None:
    (family,) = packed.families("latin", "train")
    assert {(face.name, face.family, face.plain) for face in family} == {
        ("Round-Regular", "round", True),
        ("Round-Italic", "round", False),
    }
    assert packed.families("latin", "held_out")[0][0].family == "square"
    assert packed.families("han", "train") == ()


def test_a_packed_face_draws_and_knows_what_it_draws(packed: Assets) -> None:
    face = packed.families("latin", "train")[0][0]
    assert isinstance(face, PackedFace)
    assert face.at(20).getlength("abc") > 10
    assert face.covers("Read me, 12.50")
    assert not face.covers("a按")
    assert not face.covers("ع")


def test_arabic_needs_a_pillow_that_joins_letters(
    scratch: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recipes.tiny.assets.features.check", lambda name: False)
    assert pack(tmp_path, some_font()).families("arabic", "train") == ()


def test_the_same_pack_is_unpacked_once(packed: Assets) -> None:
    first = assets.unpacked(packed.folder / assets.FONTS)
    before = first.stat().st_mtime_ns
    assert assets.unpacked(packed.folder / assets.FONTS) == first
    assert first.stat().st_mtime_ns == before


def test_packed_texts(packed: Assets) -> None:
    assert packed.sentences("en", "train") == ("Connect a mouse", "Press the button.", "Then wait a while.")
    assert packed.sentences("en", "held_out") == ("Nothing happens!",), "less what a training document says, too"
    assert packed.sentences("zh", "train") == ("按下按钮。", "然后等待。")
    assert packed.phrases("name", "de", "train") == ("Anna Müller",)
    assert packed.documents("en", "train")[0].blocks[0] == Block("title", "Connect a mouse")
    assert packed.languages("train") == ("en",), "no Han faces, no Chinese"


@given(st.lists(st.text(st.sampled_from("ab .!?。"), min_size=1, max_size=30), max_size=5))
def test_sentences_lose_nothing_but_blanks_and_repetitions(texts: list[str]) -> None:
    found = sentences_of(Block("paragraph", text) for text in texts)
    assert len(found) == len(set(found))
    for text in texts:
        assert all(part == part.strip() for part in found)
        for word in text.split():
            if len(word) > 1 and not set(word) & set(".!?。"):
                assert any(word in part for part in found)
