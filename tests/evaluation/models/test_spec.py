"""What `--model` means, and what of it is kept."""

from pathlib import Path
from typing import Any

import pytest

from anyres.errors import OptionError
from anyres.evaluation.models.spec import ModelSpec, parse_model


@pytest.mark.parametrize(
    ("text", "name", "kind", "source", "remote"),
    [
        ("tiny", "tiny", "local", "tiny", None),
        ("Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-2B-Instruct", "local", "Qwen/Qwen2-VL-2B-Instruct", None),
        ("Qwen2-VL-2B-Instruct", "Qwen/Qwen2-VL-2B-Instruct", "local", "Qwen/Qwen2-VL-2B-Instruct", None),
        ("mine=tiny", "mine", "local", "tiny", None),
        ("http://127.0.0.1:8000/v1", "127.0.0.1:8000", "remote", "http://127.0.0.1:8000/v1", None),
        ("https://a.example/v1#org/m", "a.example/org/m", "remote", "https://a.example/v1", "org/m"),
        ("gpt=https://a.example/v1#m", "gpt", "remote", "https://a.example/v1", "m"),
        ("transformers:llava/a", "llava/a-transformers", "transformers", "llava/a", None),
        ("b=transformers:llava/a", "b", "transformers", "llava/a", None),
    ],
)
def test_every_form(text: str, name: str, kind: str, source: str, remote: str | None) -> None:
    spec = parse_model(text)
    assert (spec.name, spec.kind, spec.source, spec.remote_name) == (name, kind, source, remote)
    assert ModelSpec(**spec.to_dict()) == spec
    assert not set(spec.slug) & set('/\\:*?"<>|')


def test_a_folder_is_called_by_its_last_part(tmp_path: Path) -> None:
    folder = tmp_path / "step=100"
    folder.mkdir()
    spec = parse_model(str(folder))
    assert (spec.name, spec.source) == ("step=100", str(folder))


def test_only_what_is_not_usual_is_kept() -> None:
    assert ModelSpec("a", "b", dtype="float32").to_dict() == {"name": "a", "source": "b", "dtype": "float32"}


@pytest.mark.parametrize("text", ["", "  ", "a=  "])
def test_nothing_is_no_model(text: str) -> None:
    with pytest.raises(OptionError, match="--model"):
        parse_model(text)


@pytest.mark.parametrize(
    "knob", [{"tries": 0}, {"at_once": 0}, {"ray_workers": 0}, {"retry_budget": -1}, {"timeout_s": 0.0}]
)
def test_knobs_have_bounds(knob: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(knob))):
        ModelSpec("a", "b", **knob)
