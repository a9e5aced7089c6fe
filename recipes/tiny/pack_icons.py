"""Packs drawn icons, emoji and flags with their names in several languages into `icons.zip`.

Needs npm, Pillow with WebP and `pip install resvg_py==0.5.0`. The zip holds `index.json` and one WebP with alpha, 64
pixels on its longer side, for each `KIND/STYLE/KEY.webp`. Only sets under permissive licences are read.
"""

import hashlib
import importlib
import io
import json
import subprocess
import tarfile
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from anyres.errors import DownloadError, MissingDependencyError
from recipes.tiny.icon_names import CORE, COUNTRIES, FEW_SYMBOLS, INTERFACE

__all__ = ["ASSET", "build"]

ASSET = "icons.zip"
SOURCES = {
    "@iconify/json@2.2.535": "1a545f86fa224d6531d8fb101dcbe83aac2b28689a21cbed6fc68318a5af4d91",
    "cldr-annotations-full@48.2.0": "28576e51225deb51e3ddd734b0f824a0079682cb5d8c27faa9f68149317a14d1",
    "cldr-localenames-full@48.2.0": "7f2ac7fd3b5d90f56ad127f9ed5ae67b58b3e556818f55530b9f47bb81bcde57",
}
"""npm packages and the sha256 of their .tgz."""
LANGUAGES = ("en", "zh", "ja", "ko", "de", "fr", "es", "it", "pt", "ru", "ar", "vi")
EMOJI_STYLES = ("noto", "twemoji", "fluent-emoji-flat", "fluent-emoji", "emojione", "streamline-emojis",
                "fluent-emoji-high-contrast", "emojione-monotone", "fxemoji", "noto-v1")  # fmt: skip
FLAG_STYLES = ("circle-flags", "flag", "cif", "flagpack")
INTERFACE_STYLES = ("material-symbols", "fluent", "mdi", "tabler", "lucide", "heroicons", "ph", "carbon")
HELD_OUT = ("fxemoji", "noto-v1", "flagpack", "ph", "carbon")
"""Drawing styles that training never shows."""
VARIANTS = ("{}", "{}-24-regular", "{}-20-regular", "{}-outline", "{}-24-filled")
"""How sets spell the plain drawing of a name."""
GROUPS = ("Food & Drink", "Animals & Nature", "Objects", "Travel & Places", "Activities", "Smileys & Emotion")
LONGEST, LEAST_STYLES, MOST_WORDS = 64, 4, 3
NOT_NAMES = ("button", "skin tone", "person ", "man ", "woman ")

Set = Mapping[str, Any]
"""One file of @iconify/json: `icons`, `aliases`, `width`, `height`."""


def build(out: Path) -> None:
    """Writes `out`/icons.zip; DownloadError where a package is not the pinned one."""
    with tempfile.TemporaryDirectory() as scratch:
        tars = [fetched(package, checksum, Path(scratch)) for package, checksum in SOURCES.items()]
        styles = [*EMOJI_STYLES, *FLAG_STYLES, *INTERFACE_STYLES]
        sets = {name: unpacked(tars[0], f"json/{name}.json") for name in styles}
        names = {key: unpacked(tars[1], f"annotations/{key}/annotations.json") for key in LANGUAGES}
        lands = {key: unpacked(tars[2], f"main/{key}/territories.json") for key in LANGUAGES}
    items = {
        "emoji": emoji_items(sets, {key: one["annotations"]["annotations"] for key, one in names.items()}),
        "flags": flag_items(sets, {key: lands[key]["main"][key]["localeDisplayNames"]["territories"] for key in lands}),
        "interface": interface_items(sets),
    }
    unfinished = out / f"{ASSET}.part"
    write(unfinished, sets, items)
    unfinished.replace(out / ASSET)


def fetched(package: str, checksum: str, folder: Path) -> Path:
    """The package's .tgz in `folder`, by npm."""
    command = ["npm", "pack", "--json", package]
    told = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)  # noqa: S603
    path = folder / str(json.loads(told.stdout)[0]["filename"]).replace("@", "").replace("/", "-")
    seen = hashlib.sha256(path.read_bytes()).hexdigest()
    if seen != checksum:
        raise DownloadError(package, f"sha256 {seen}", checksum)
    return path


def unpacked(archive: Path, member: str) -> Any:
    """The parsed JSON file `member` of an npm package."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(f"package/{member}")
        assert file is not None
        return json.load(file)


def bare(name: str) -> str:
    """Letters and digits only: sets write `alarm-clock`, `alarmclock`, `Alarm Clock`.

    >>> bare("Alarm-clock")
    'alarmclock'
    """
    return "".join(char for char in name.lower() if char.isalnum())


def known(one: Set) -> dict[str, str]:
    """Bare name -> name of every icon of a set; a name of its own goes before an alias."""
    return {bare(name): name for name in [*one.get("aliases", {}), *one["icons"]]}


def emoji_items(sets: Mapping[str, Set], texts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Emoji drawn in at least LEAST_STYLES of the training styles, the ordinary ones first."""
    styles = {name: known(sets[name]) for name in EMOJI_STYLES}
    groups = {name: group for group, names in sets["noto"]["categories"].items() for name in names}
    found = []
    for char, told in texts["en"].items():
        name = told.get("tts", [""])[0]
        group = groups.get(styles["noto"].get(bare(name), ""), "")
        if not is_wanted(name, group):
            continue
        drawn = drawings(styles, (name, unicodedata.name(char, "") if len(char) == 1 else ""))
        if sum(style not in HELD_OUT for style in drawn) >= LEAST_STYLES:
            spoken = {key: one[char]["tts"][0] for key, one in texts.items() if "tts" in one.get(char, {})}
            key = "-".join(f"{ord(one):x}" for one in char)
            found.append({"key": key, "names": spoken, "group": group, "drawn": drawn})
    return sorted(found, key=emoji_rank)


def is_wanted(name: str, group: str) -> bool:
    """Whether a picture of it can be told from others by a person who knows the name."""
    plain = len(name.split()) <= MOST_WORDS and not any(mark in f"{name} " for mark in NOT_NAMES)
    return plain and (group in GROUPS or name in FEW_SYMBOLS)


def emoji_rank(item: Mapping[str, Any]) -> tuple[int, int, str]:
    """The CORE in its order, then short names, faces last."""
    name = item["names"]["en"]
    if name in CORE:
        return 0, CORE.index(name), name
    return 1 + (item["group"] == GROUPS[-1]), len(name.split()), hashlib.sha256(name.encode()).hexdigest()


def drawings(styles: Mapping[str, Mapping[str, str]], names: Sequence[str]) -> dict[str, str]:
    """Style -> the set's own name of the icon, for the styles that draw one of `names`."""
    found = {}
    for style, icons in styles.items():
        hits = [icons[bare(name)] for name in names if bare(name) in icons]
        if hits:
            found[style] = hits[0]
    return found


def flag_items(sets: Mapping[str, Set], lands: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    """Flags of the lands that CLDR names and every set draws, the well-known ones first."""
    found = []
    for code in lands["en"]:
        key = code.lower()
        drawn = {style: key + "-4x3" if style == "flag" else key for style in FLAG_STYLES}
        if len(code) == 2 and code.isalpha() and all(name in sets[style]["icons"] for style, name in drawn.items()):
            names = {language: one[code] for language, one in lands.items() if code in one}
            found.append({"key": key, "names": names, "group": "flag", "drawn": drawn})
    rank = {code: place for place, code in enumerate(COUNTRIES)}
    return sorted(found, key=lambda item: (rank.get(item["key"], len(rank)), item["key"]))


def interface_items(sets: Mapping[str, Set]) -> list[dict[str, Any]]:
    """The icons of buttons and menus, by what they stand for."""
    found = []
    for name, words in INTERFACE.items():
        drawn = {}
        for style in INTERFACE_STYLES:
            icons = {*sets[style]["icons"], *sets[style].get("aliases", {})}
            hits = [one for word in words for one in (form.format(word) for form in VARIANTS) if one in icons]
            if hits:
                drawn[style] = hits[0]
        found.append({"key": bare(name), "names": {"en": name}, "group": "interface", "drawn": drawn})
    return found


def write(path: Path, sets: Mapping[str, Set], items: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Draws every icon and writes the zip; the same sets give the same bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as pack:
        index: dict[str, Any] = {"held_out": list(HELD_OUT)}
        for kind, found in items.items():
            index[kind] = []
            for item in found:
                styles = [style for style, raw in drawn_webps(sets, item) if add(pack, f"{kind}/{style}", item, raw)]
                index[kind].append({key: item[key] for key in ("key", "names", "group")} | {"styles": styles})
        pack.writestr(zipfile.ZipInfo("index.json"), json.dumps(index, ensure_ascii=False, separators=(",", ":")))


def add(pack: zipfile.ZipFile, folder: str, item: Mapping[str, Any], raw: bytes) -> bool:
    """Writes one drawing; False where the renderer left it empty."""
    if raw:
        pack.writestr(zipfile.ZipInfo(f"{folder}/{item['key']}.webp"), raw)
    return bool(raw)


def drawn_webps(sets: Mapping[str, Set], item: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """(style, WebP) of an item; no bytes where nothing was drawn."""
    for style, name in item["drawn"].items():
        picture = rasterised(svg_of(sets[style], name))
        box = picture.getchannel("A").getbbox()
        yield style, webp(picture.crop(box)) if box else b""


def svg_of(one: Set, name: str) -> str:
    """The whole SVG of an icon, an alias followed to what it stands for."""
    turned = one.get("aliases", {}).get(name, {})
    icon = one["icons"][turned["parent"]] if turned else one["icons"][name]
    left, top = icon.get("left", 0), icon.get("top", 0)
    width, height = icon.get("width", one.get("width", 16)), icon.get("height", one.get("height", 16))
    scale = 2 * LONGEST / max(width, height)
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}" width="{round(width * scale)}" height="{round(height * scale)}">'
        f"{icon['body']}</svg>"
    )


def rasterised(svg: str) -> Image.Image:
    """RGBA at twice the final size."""
    try:
        resvg = importlib.import_module("resvg_py")
    except ModuleNotFoundError as missing:
        raise MissingDependencyError("resvg_py", "not installed", "pip install resvg_py==0.5.0") from missing
    return Image.open(io.BytesIO(bytes(resvg.svg_to_bytes(svg_string=svg)))).convert("RGBA")


def webp(picture: Image.Image) -> bytes:
    """Shrunk to LONGEST pixels and packed."""
    picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=72, alpha_quality=80, method=6)
    return buffer.getvalue()
