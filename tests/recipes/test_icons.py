"""Icons: what is pasted is what is asked, told and boxed; the held-out hands never draw for training."""

import io
import json
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from anyres.errors import DownloadError, MissingDependencyError
from recipes.tiny import icon_names, icon_pack, icons, pack_icons
from recipes.tiny.assets import Assets
from recipes.tiny.places import CENTRES
from recipes.tiny.regions import box_at
from tests.recipes.samples import SHOWN, check, made, media, names, numbers, question, same, tiny_assets, tokens

MAKERS = (
    icons.make_icon_name, icons.make_flag, icons.make_icon_count, icons.make_icon_box, icons.make_icon_boxes,
    icons.make_icon_list, icons.make_icon_at,
)  # fmt: skip
few = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Assets:
    """A pack of coloured shapes."""
    return tiny_assets(tmp_path_factory.mktemp("icons"))


@few
@given(st.sampled_from(MAKERS), st.integers(0, 2**32), st.floats(0, 1), st.sampled_from(["train", "held_out"]))
def test_every_example_holds_together(
    assets: Assets, maker: icons.Maker, seed: int, difficulty: float, split: str
) -> None:
    example = made(maker, assets, seed, difficulty, split)
    check(example)
    assert same(example, made(maker, assets, seed, difficulty, split))


@pytest.mark.parametrize("maker", MAKERS)
def test_easy_pictures_are_small_and_hard_ones_larger(assets: Assets, maker: icons.Maker) -> None:
    easy = [tokens(made(maker, assets, seed, 0.0)) for seed in range(20)]
    hard = [tokens(made(maker, assets, seed, 1.0)) for seed in range(20)]
    assert max(easy) <= 40
    assert np.mean(hard) > 1.5 * np.mean(easy)


@pytest.mark.parametrize("maker", MAKERS)
def test_held_out_styles_are_for_the_held_out_split_alone(
    assets: Assets, maker: icons.Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {"train": set(), "held_out": set()}
    plain = icon_pack.drawing
    for split, styles in seen.items():

        def spied(pack: icon_pack.IconPack, member: str, styles: set[str] = styles) -> Image.Image:
            styles.add(member.split("/")[1])
            return plain(pack, member)

        monkeypatch.setattr(icon_pack, "drawing", spied)
        for seed in range(15):
            made(maker, assets, seed, 0.8, split)
    assert seen["train"] <= {"noto", "emojione-monotone", "flag", "mdi", "tabler"}
    assert seen["held_out"] <= {"fxemoji", "flagpack", "ph"}
    assert seen["train"]


def test_without_the_pack_it_is_said_how_to_build_it(tmp_path: Path) -> None:
    for maker in MAKERS:
        with pytest.raises(MissingDependencyError, match=r"python -m recipes\.tiny\.pack"):
            made(maker, Assets.open(tmp_path))


def test_a_name_is_what_lies_in_the_cells(assets: Assets) -> None:
    for seed in range(20):
        example = made(icons.make_icon_name, assets, seed, 0.1)
        assert names(example) == {example.answer}
        assert example.language == "en"


def test_other_languages_come_with_difficulty(assets: Assets) -> None:
    hard = [made(icons.make_icon_name, assets, seed, 1.0) for seed in range(80)]
    german = [example for example in hard if example.language == "de"]
    assert 15 < len(german) < 60
    assert all(example.answer.startswith("das ") and question(example) in icons.NAME["de"] for example in german)
    assert {made(icons.make_flag, assets, seed, 0.0).language for seed in range(20)} == {"en"}


def test_names_are_drawn_evenly(assets: Assets) -> None:
    told = Counter(made(icons.make_icon_name, assets, seed, 0.0).answer for seed in range(400))
    assert len(told) == icon_pack.FIRST
    assert max(told.values()) < 45


def test_counts_are_those_of_the_picture_and_even(assets: Assets) -> None:
    told: Counter[str] = Counter()
    for seed in range(150):
        example = made(icons.make_icon_count, assets, seed, 0.3)
        dense = example.dense[0]
        assert dense is not None
        assert dense.places is not None
        there = int(dense.places[:, CENTRES].sum())
        assert int(example.answer) <= there
        assert dense.counted is not None
        assert len(dense.counted) == len(dense.places)
        assert sum(dense.counted) == int(example.answer)
        assert (np.array(dense.counted) <= dense.places[:, CENTRES]).all()
        if question(example) in icons.TOTAL:
            assert int(example.answer) == there
        else:
            told[example.answer] += 1
            named = [name for name in SHOWN if name in question(example)]
            assert len(named) == 1
            assert (named[0] in names(example)) == (example.answer != "0")
    assert max(told.values()) < 0.4 * sum(told.values())


def test_a_box_is_where_the_thing_was_pasted(assets: Assets) -> None:
    absent = 0
    for seed in range(80):
        example = made(icons.make_icon_box, assets, seed, 0.4)
        asked = next(name for name in SHOWN if name in question(example))
        assert (asked in names(example)) == (example.metric == "box")
        if example.metric == "exact":
            absent += 1
            assert example.answer == f"There is no {asked}."
            continue
        (box,) = numbers(example.answer)
        frame, dense = media(example)[0][0], example.dense[0]
        size = (frame.shape[0], frame.shape[1])
        assert dense is not None
        told = box_at(dense, size, ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2))
        assert told is not None
        scaled = [1000 * side / size[1 - place % 2] for place, side in enumerate(told)]
        assert scaled == pytest.approx(box, abs=2) or len(names(example)) > 1
    assert 4 <= absent <= 26


def test_the_inside_of_a_box_has_the_colour_of_its_name(assets: Assets) -> None:
    for seed in range(40):
        example = made(icons.make_icon_box, assets, seed, 0.0)
        if example.metric != "box" or "red square" not in question(example):
            continue
        (x1, y1, x2, y2), frame = numbers(example.answer)[0], media(example)[0][0]
        middle = frame[(y1 + y2) * frame.shape[0] // 2000, (x1 + x2) * frame.shape[1] // 2000].astype(int)
        assert middle[0] > middle[1] + 60


def test_every_box_is_given_from_top_to_bottom(assets: Assets) -> None:
    found = [len(numbers(made(icons.make_icon_boxes, assets, seed, 0.6).answer)) for seed in range(30)]
    assert set(found) >= {1, 2, 3}
    for seed in range(30):
        tops = [box[1] for box in numbers(made(icons.make_icon_boxes, assets, seed, 0.6).answer)]
        assert tops == sorted(tops)


def test_a_list_reads_row_by_row(assets: Assets) -> None:
    for seed in range(20):
        example = made(icons.make_icon_list, assets, seed, 0.0)
        rows = [line.split(", ") for line in example.answer.split("\n")]
        frame, dense = media(example)[0][0], example.dense[0]
        assert dense is not None
        assert dense.names is not None
        pitch = frame.shape[0] // len(rows) // 28
        assert frame.shape[1] // 28 == pitch * len(rows[0])
        for row, line in enumerate(rows):
            for column, name in enumerate(line):
                cells = [
                    dense.names[(row * pitch + y) * pitch * len(line) + column * pitch + x]
                    for y in range(pitch)
                    for x in range(pitch)
                ]
                assert name in {one for cell in cells for one in cell}


def shown(count: int) -> list[icon_pack.Icon]:
    """Icons called 0, 1, 2, ..."""
    return [icon_pack.Icon("emoji", str(n), {"en": str(n)}, "", ()) for n in range(count)]


def test_corners_and_neighbours_are_those_of_the_grid() -> None:
    rng = np.random.default_rng(0)
    by_words = {words: icon.name for words, icon in (icons.corner(rng, shown(6), 3) for _ in range(80))}
    assert len(by_words) == 8
    assert by_words["at the top left"] == "0"
    assert by_words["at the top right"] == "2"
    assert by_words["in the lower left corner"] == "3"
    assert by_words["in the lower right corner"] == "5"
    near = {words: icon.name for words, icon in (icons.neighbour(rng, shown(6), 3) for _ in range(200))}
    assert near["left of the 1"] == "0"
    assert near["right of the 1"] == "2"
    assert near["below the 1"] == "4"
    assert near["above the 5"] == "2"
    assert "left of the 0" not in near
    assert len(near) == 14


# ---- the pack ----


def test_icons_become_known_one_after_the_other(assets: Assets) -> None:
    pack = icon_pack.icon_pack(assets)
    easy, hard = (pack.icons("emoji", split="train", difficulty=level) for level in (0.0, 1.0))
    assert [icon.name for icon in easy] == list(SHOWN[: icon_pack.FIRST])
    assert [icon.name for icon in hard] == list(SHOWN)
    assert pack.styles(easy[0], "train", plain=True) == ("noto",)
    assert pack.styles(easy[0], "held_out") == ("fxemoji",)


def test_black_drawings_get_an_ink_that_stands_out(assets: Assets) -> None:
    rng = np.random.default_rng(0)
    black = Image.new("RGBA", (20, 20), (0, 0, 0, 255))
    for level in (10.0, 240.0):
        ink = np.asarray(icon_pack.with_ink(rng, black, np.full(3, level, dtype=np.float32)))[:, :, :3].mean()
        assert abs(ink - level) > 100


def test_faint_drawings_get_a_border() -> None:
    grey = np.full(3, 128, dtype=np.float32)
    disc = Image.fromarray(np.full((30, 30, 4), 130, dtype=np.uint8))
    bordered = np.asarray(icon_pack.with_border(disc, grey))
    assert bordered.shape == (30, 30, 4)
    assert not np.array_equal(bordered, np.asarray(disc))
    bright = Image.new("RGBA", (30, 30), (255, 30, 30, 255))
    assert icon_pack.with_border(bright, grey) is bright


def test_what_sticks_out_of_the_picture_is_lost() -> None:
    patch = np.full((4, 4, 4), 255, dtype=np.uint8)
    for x, y, painted in ((-2, -2, 4), (8, 3, 8), (20, 20, 0), (-9, 0, 0), (3, 3, 16)):
        rgb = np.zeros((10, 10, 3), dtype=np.float32)
        icon_pack.paste(rgb, icon_pack.Cutout("", patch, x, y))
        assert (rgb[:, :, 0] == 255).sum() == painted


# ---- building the pack ----

SQUARE = '<rect width="10" height="10" fill="red"/>'


def icon_set(*drawn: str, **aliases: str) -> dict[str, object]:
    """A set of one size."""
    return {
        "icons": {name: {"body": SQUARE} for name in drawn},
        "aliases": {alias: {"parent": parent} for alias, parent in aliases.items()},
        "width": 10,
        "height": 20,
        "categories": {"Food & Drink": [name for name in drawn if name in ("banana", "red-apple")]},
    }


def test_ordinary_things_come_first_and_faces_last() -> None:
    items = [
        {"names": {"en": name}, "group": group}
        for name, group in (
            ("smiling face", "Smileys & Emotion"), ("green salad", "Food & Drink"), ("carrot", "Food & Drink"),
            ("banana", "Food & Drink"), ("oden", "Food & Drink"),
        )
    ]  # fmt: skip
    ranked = [item["names"]["en"] for item in sorted(items, key=pack_icons.emoji_rank)]
    assert ranked == ["banana", "carrot", "oden", "green salad", "smiling face"]


@pytest.mark.parametrize(
    ("name", "group", "wanted"),
    [
        ("banana", "Food & Drink", True), ("warning", "Symbols", True), ("tokyo", "Symbols", False),
        ("woman dancing", "Activities", False), ("OK button", "Objects", False),
        ("hand with fingers and thumb", "Objects", False),
    ],
)  # fmt: skip
def test_what_is_wanted(name: str, group: str, wanted: bool) -> None:
    assert pack_icons.is_wanted(name, group) == wanted


def test_sets_spell_names_in_their_own_ways() -> None:
    styles = {"a": pack_icons.known(icon_set("alarmclock")), "b": pack_icons.known(icon_set("x", Alarm="x"))}
    assert pack_icons.drawings(styles, ("alarm clock", "ALARM")) == {"a": "alarmclock", "b": "Alarm"}
    assert pack_icons.drawings(styles, ("clock",)) == {}


def test_an_alias_is_drawn_as_what_it_stands_for() -> None:
    svg = pack_icons.svg_of(icon_set("x", y="x"), "y")
    assert SQUARE in svg
    assert 'viewBox="0 0 10 20" width="64" height="128"' in svg


def test_interface_icons_are_found_in_every_set() -> None:
    sets = {name: icon_set("home-24-regular", "cog", "trash-outline") for name in pack_icons.INTERFACE_STYLES}
    found = {item["names"]["en"]: item["drawn"] for item in pack_icons.interface_items(sets)}
    assert set(found) == set(icon_names.INTERFACE)
    assert found["home"]["mdi"] == "home-24-regular"
    assert found["settings"]["ph"] == "cog"
    assert found["delete"]["tabler"] == "trash-outline"
    assert found["search"] == {}


def test_lists_hold_nothing_twice() -> None:
    for names_ in (icon_names.CORE, icon_names.COUNTRIES, icon_names.FEW_SYMBOLS):
        assert len(set(names_)) == len(names_)
    assert set(pack_icons.HELD_OUT) < {
        *pack_icons.EMOJI_STYLES, *pack_icons.FLAG_STYLES, *pack_icons.INTERFACE_STYLES
    }  # fmt: skip


def archive(path: Path, files: dict[str, object]) -> Path:
    """An npm package."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            raw = json.dumps(content).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(raw)
            tar.addfile(info, io.BytesIO(raw))
    return path


def packages(folder: Path) -> dict[str, Path]:
    """Small stand-ins of the three packages."""
    styles = (*pack_icons.EMOJI_STYLES, *pack_icons.FLAG_STYLES, *pack_icons.INTERFACE_STYLES)
    drawn = icon_set("banana", "carrot", "red-apple", "fr", "fr-4x3", "home")
    texts = {"🍌": {"tts": ["banana"]}, "🥕": {"tts": ["carrot"]}, "🍎": {"tts": ["red apple"]}, "🚷": {}}
    tells = {f"annotations/{key}/annotations.json": {"annotations": {"annotations": texts}} for key in
             pack_icons.LANGUAGES}  # fmt: skip
    told = {"localeDisplayNames": {"territories": {"FR": "France", "150": "Europe"}}}
    lands = {f"main/{key}/territories.json": {"main": {key: told}} for key in pack_icons.LANGUAGES}
    contents = ({f"json/{name}.json": drawn for name in styles}, tells, lands)
    return {
        package: archive(folder / f"{place}.tgz", files)
        for place, (package, files) in enumerate(zip(pack_icons.SOURCES, contents, strict=True))
    }


def test_a_pack_is_built_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tars = packages(tmp_path)
    monkeypatch.setattr(pack_icons, "fetched", lambda package, _checksum, _folder: tars[package])
    monkeypatch.setattr(pack_icons, "rasterised", lambda _svg: Image.new("RGBA", (64, 128), (255, 0, 0, 255)))
    pack_icons.build(tmp_path)
    first = (tmp_path / pack_icons.ASSET).read_bytes()
    pack_icons.build(tmp_path)
    assert (tmp_path / pack_icons.ASSET).read_bytes() == first
    pack = icon_pack.icon_pack(Assets.open(tmp_path))
    assert [icon.name for icon in pack.kinds["emoji"]] == ["banana", "red apple"]
    assert pack.kinds["emoji"][0].key == "1f34c"
    assert [(icon.key, icon.name) for icon in pack.kinds["flags"]] == [("fr", "France")]
    assert pack.held_out == set(pack_icons.HELD_OUT)
    assert icon_pack.drawing(pack, "flags/cif/fr.webp").size == (32, 64)
    with zipfile.ZipFile(tmp_path / pack_icons.ASSET) as files:
        assert len(files.namelist()) == 1 + 2 * 10 + 4 + 8


def test_an_empty_drawing_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tars = packages(tmp_path)
    monkeypatch.setattr(pack_icons, "fetched", lambda package, _checksum, _folder: tars[package])
    monkeypatch.setattr(pack_icons, "rasterised", lambda _svg: Image.new("RGBA", (64, 128)))
    pack_icons.build(tmp_path)
    pack = icon_pack.icon_pack(Assets.open(tmp_path))
    assert all(not icon.styles for kind in pack.kinds.values() for icon in kind)
    assert pack.icons("emoji", split="train", difficulty=1.0) == ()


def test_another_package_than_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x-1.tgz").write_bytes(b"other")

    class Told:
        stdout = '[{"filename": "@x/1.tgz"}]'

    monkeypatch.setattr(pack_icons.subprocess, "run", lambda *_args, **_options: Told)
    with pytest.raises(DownloadError, match="sha256"):
        pack_icons.fetched("@x@1", "0" * 64, tmp_path)


def test_the_renderer_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(pack_icons.importlib, "import_module", missing)
    with pytest.raises(MissingDependencyError, match="resvg_py"):
        pack_icons.rasterised("<svg/>")
