"""Assets: what the factory prints with, from packs and without them."""

import io
import lzma
import tempfile
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from anyres.errors import DownloadError, MissingDependencyError, OptionError
from recipes.tiny import assets, pack_words
from recipes.tiny import pack as packing
from recipes.tiny.assets import LANGUAGES, SCRIPTS, SPLITS, Assets, Block, PackedFace, script_of, sentences_of
from recipes.tiny.font_sources import designs, packages
from recipes.tiny.pack_fonts import charset, rows
from recipes.tiny.pack_words import Page, Piece, is_written_in, kept, without_shared
from recipes.tiny.packages import Package, cached

LINES = (
    "train\ten\tgnome/a\ttitle\tConnect a mouse",
    "train\ten\tgnome/a\tparagraph\tPress the button. Then wait a while.",
    "held_out\ten\tgnome/b\tparagraph\tPress the button. Nothing happens!",
    "train\tzh\tgnome/a\tparagraph\t按下按钮。然后等待。",
    "train\tde\t\tname\tAnna Müller",
    "held_out\tde\t\tname\tKarl Weiß",
)
FACES = (
    ("train", "latin,mono", "round", "Round-Regular", "1", "Round-Regular.ttf"),
    ("train", "latin", "round", "Round-Italic", "0", "Round-Regular.ttf"),
    ("held_out", "latin", "square", "Square", "1", "Round-Regular.ttf"),
    ("train", "arabic", "naskh", "Naskh", "1", "Round-Regular.ttf"),
)


def pack(folder: Path, font: bytes) -> Assets:
    """A folder with small packs, opened."""
    (folder / assets.TEXTS).write_bytes(lzma.compress("\n".join(LINES).encode()))
    with zipfile.ZipFile(folder / assets.FONTS, "w") as members:
        members.writestr("Round-Regular.ttf", font)
        members.writestr(assets.INDEX, "\n".join("\t".join(face) for face in FACES))
    return Assets.open(folder)


def some_font() -> bytes:
    """The bytes of the face built into Pillow."""
    font = ImageFont.load_default(20)
    assert isinstance(font, ImageFont.FreeTypeFont)
    assert isinstance(font.path, io.BytesIO)
    return font.path.getvalue()


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
    assert not trained & held_out


def test_on_a_bare_machine_pillows_own_face_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "find_spec", lambda name: None)
    faces = assets.bundled_faces()
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
    assert [face.name for family in packed.families("mono", "train") for face in family] == ["Round-Regular"]
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


# ---- building the packs ----


def test_the_manifest_tells_size_and_checksum(tmp_path: Path) -> None:
    (tmp_path / "a.xz").write_bytes(b"12345")
    (tmp_path / "notes.txt").write_bytes(b"no pack")
    assert packing.manifest(tmp_path) == {
        "a.xz": {"bytes": 5, "sha256": "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"}
    }


def test_packs_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xz").write_bytes(b"12345")
    packing.build((), tmp_path)
    assert (tmp_path / packing.MANIFEST).is_file()
    monkeypatch.setattr(packing, "MOST_BYTES", 4)
    with pytest.raises(OptionError, match="5 bytes of packs; allowed: at most 4"):
        packing.build((), tmp_path)


def test_an_unknown_part_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="songs"):
        packing.build(("songs",), tmp_path)


def test_a_package_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    package = Package("npm", "@a/b", "1.0", "0" * 64)
    (tmp_path / package.file).write_bytes(b"something else")
    with pytest.raises(DownloadError, match="sha256"):
        cached(package, tmp_path)


def test_every_script_has_designs_in_both_splits_and_every_package_a_checksum() -> None:
    known = designs()
    for script in SCRIPTS:
        assert {design.split for design in known if script in design.scripts} == set(SPLITS)
    assert len({design.name for design in known}) == len(known)
    pinned = {package.name: package for package in packages("font_packages.tsv")}
    assert {file.partition(":")[0] for design in known for file in design.files} <= set(pinned)
    assert all(len(package.sha256) == 64 for package in pinned.values())


def test_characters_of_the_scripts() -> None:
    assert len(rows("gb2312", 16, 55)) == 3755, "level 1 of GB 2312"
    assert set("你好，Linux 2024。") <= charset(("han",))
    assert "你" not in charset(("latin",))
    assert set("ありがとう漢字カナ") <= charset(("kana",))
    assert set("한글") <= charset(("hangul",))
    assert set("Ωλ Жя ế €") <= charset(("latin",))


@pytest.mark.parametrize(
    ("text", "script", "is_in"),
    [
        ("打开 GNOME", "han", True),
        ("Press Ctrl", "han", False),
        ("Нажмите OK", "cyrillic", True),
        ("123", "latin", False),
    ],
)
def test_untranslated_texts_are_known(text: str, script: str, is_in: bool) -> None:
    assert is_written_in(text, script) is is_in


def test_texts_that_cannot_be_drawn_or_are_english_still_are_left_out() -> None:
    pieces = [
        Piece("a", "en", "paragraph", "Press  the\n key"),
        Piece("a", "de", "paragraph", "Press the key"),
        Piece("a", "de", "paragraph", "Drücke die Taste"),
        Piece("a", "de", "paragraph", "Drücke 键"),
        Piece("", "de", "word", "Taste"),
    ]
    assert [piece.text for piece in kept(pieces)] == ["Press the key", "Drücke die Taste", "Taste"]


def test_held_out_texts_that_training_has_are_left_out() -> None:
    documents = [Piece(f"doc{number}", "en", "paragraph", "The same text.") for number in range(30)]
    lines = without_shared(
        [*documents, *(Piece(f"doc{number}", "en", "item", f"Text {number}") for number in range(30))]
    )
    assert sum("The same text." in line for line in lines) == 1
    assert {line.split("\t")[0] for line in lines} == {"train", "held_out"}


def test_a_handbook_page_becomes_blocks() -> None:
    page = Page()
    page.feed(
        '<h2 class="title">A <code>b</code></h2><div class="para">One <b>two</b></div>'
        "<ul><li><div class='para'>Three</div></li></ul><pre>no</pre><p>Four</p> none"
    )
    assert [(kind, text) for kind, text in page.found if text] == [
        ("heading", "A b"), ("paragraph", "One two"), ("item", "Three"), ("paragraph", "Four"),
    ]  # fmt: skip


@pytest.mark.parametrize("found", [None, "0.1"])
def test_tools_of_the_words_are_named(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(pack_words, "version", version)
    with pytest.raises(MissingDependencyError, match=rf"{found or 'not installed'}.*pip install wordfreq=="):
        pack_words.check_tools()
