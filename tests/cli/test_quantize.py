"""`anyres quantize`."""

import json
from pathlib import Path
from typing import Any

import pytest

from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import ModelInput
from anyres.quant import quantise
from tests.cli.conftest import Run


def test_it_writes_a_folder_that_answers(run: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "small-int8"
    result = run("quantize", checkpoint, "--to", "int8", "-o", out, "--calibrate", photo)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    assert "KL" in result.stderr
    assert str(out / "QUANTIZATION.md") in result.stderr
    answer = run("ask", photo, "What?", "--model", out, "--max-tokens", "3", "--json")
    assert answer.exit_code == 0, answer.output
    assert json.loads(answer.stdout)["usage"]["completion_tokens"] <= 3


def test_json_holds_the_card(run: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    result = run("quantize", checkpoint, "--to", "nf4", "-o", tmp_path / "out", "--calibrate", photo, "--json", "-q")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["path"] == str(tmp_path / "out")
    assert told["card"]["method"] == "nf4"
    assert told["card"]["loss"]["positions"] > 0
    assert result.stderr == ""


def test_a_folder_of_pictures_is_taken_whole(run: Run, checkpoint: Path, photo: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.PNG"):
        (pictures / name).write_bytes(photo.read_bytes())
    (pictures / "notes.txt").write_text("no picture")
    result = run("quantize", checkpoint, "--to", "int8", "-o", tmp_path / "out", "--calibrate", pictures, "--json")
    assert json.loads(result.stdout)["card"]["questions"] == 4  # two questions about each


def test_what_int4_is_rounded_for_is_not_what_it_is_measured_on(
    run: Run, checkpoint: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taught: list[int] = []
    decoder = quantise.rounded_decoder

    def spy(model: Qwen2VL, prompts: list[ModelInput], **options: Any) -> Any:
        taught.append(len(prompts))
        return decoder(model, prompts, **options)

    monkeypatch.setattr(quantise, "rounded_decoder", spy)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        (pictures / name).write_bytes(photo.read_bytes())
    result = run("quantize", checkpoint, "--to", "int4", "-o", tmp_path / "out", "--calibrate", pictures, "--json")
    card = json.loads(result.stdout)["card"]
    assert card["calibrated"]
    assert card["questions"] == 2  # about b.png
    assert taught == [96 + 4]  # drawn ones, and two questions about a.png and c.png


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--to", "int3", "-o", "new"), "--to: 'int3'; allowed: int4, int8, nf4"),
        (("--to", "int8"), "--output: none"),
        (("--to", "int8", "-o", "."), "--output: none"),
        (("--to", "int8", "-o", "/"), "output: / exists"),
        (("--to", "int8", "-o", "new", "--calibrate", "none.png"), "none.png"),
    ],
)
def test_bad_options_are_one_line(
    run: Run, checkpoint: Path, options: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("quantize", checkpoint, *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_model_is_named(run: Run, tmp_path: Path) -> None:
    result = run("quantize", "no-such-model", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "no-such-model" in result.stderr
