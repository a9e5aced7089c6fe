"""The page's files as they lie there: what is vendored, what is inline, what is said in each language."""

import hashlib
import re
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "anyres/server/static"
OURS = sorted(STATIC.glob("js/**/*.js"))
WORD = re.compile(r'^\s*"?([\w.]+)"?: "(.*)",$', re.MULTILINE)


def words(language: str) -> dict[str, str]:
    return dict(WORD.findall((STATIC / f"js/words-{language}.js").read_text(encoding="utf-8")))


def test_vendored_files_are_those_of_the_list() -> None:
    vendor = STATIC / "vendor"
    listed = dict(reversed(line.split("  ")) for line in (vendor / "SHA256SUMS").read_text().splitlines())
    found = {
        path.relative_to(vendor).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in vendor.rglob("*")
        if path.is_file() and path.name not in ("SHA256SUMS", "README.md")
    }
    assert listed == found
    assert all(name in (vendor / "README.md").read_text() for name in listed if name.endswith(".js"))


def test_nothing_is_inline() -> None:
    text = (STATIC / "index.html").read_text()
    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:", text) == []


def test_all_modules_are_asked_for_at_once() -> None:
    """Without the list the browser would find them one import after the other."""
    listed = re.findall(r'rel="modulepreload" href="static/([^"]+)"', (STATIC / "index.html").read_text())
    modules = [path.relative_to(STATIC).as_posix() for path in (*STATIC.glob("vendor/*.js"), *OURS)]
    assert sorted([*listed, "js/main.js"]) == sorted(modules)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_modules_import_files_that_are_there_and_ask_nobody_else(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(r'^(?:import|export)[^;]*? from "([^"]+)";', text, re.MULTILINE):
        assert (path.parent / name).resolve().is_file(), name
    assert re.findall(r"https?://(?!127\.0\.0\.1:8001)", text) == []
    assert "innerHTML" not in text or path.name == "markdown.js"
    assert len(text.splitlines()) <= 400


def test_both_languages_say_all_that_is_asked_for() -> None:
    english, chinese = words("en"), words("zh")
    plain = {key for key in english if not key.endswith(".one")}
    assert set(chinese) == plain
    asked = {key for path in OURS for key in re.findall(r'\b(?:t|notify)\(\s*"(\w+)"', path.read_text())}
    assert asked - plain == set()
    assert len(asked) > 100


def test_texts_of_both_languages_have_the_same_places() -> None:
    english, chinese = words("en"), words("zh")
    for key, text in chinese.items():
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), key


def test_words_that_are_there_are_used() -> None:
    texts = "".join(path.read_text() for path in OURS if not path.name.startswith("words-"))
    unused = {key for key in words("zh") if not re.search(rf'["\'\s]{key}["\',:]', texts)}
    assert unused - {"temperature", "top_p"} == set()
