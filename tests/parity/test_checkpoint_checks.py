"""A checkpoint's own golden.npz: every number in it is compared, and a damaged one is told."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from anyres.chat import ImagePart, Message, TextPart
from anyres.errors import CheckpointError
from anyres.model.hub import list_models, resolve
from anyres.model.weights import load_model
from anyres.parity.cases import FormulaPicture, formula_picture, sampled
from anyres.parity.checkpoint_checks import check_own_model, check_own_prompt, read_own_golden
from anyres.parity.goldens import CHECKPOINT_GOLDEN, Arrays
from anyres.parity.model_checks import cached_logits, one_pass_logits, visual_tokens_of
from anyres.parity.result import CheckResult
from anyres.parity.suite import verify
from anyres.processing.processor import Processor

QUESTION = "Read the text."


def own_numbers(folder: Path) -> Arrays:
    """What a right golden.npz for this folder holds, as far as this program can tell."""
    picture = np.asarray(formula_picture(FormulaPicture("RGB", 60, 100)))
    model, processor = load_model(folder, dtype=torch.float32), Processor.from_folder(folder)
    parts = (ImagePart(picture, max_pixels="checkpoint"), TextPart(QUESTION))
    prompt = processor.prepare([Message("user", parts)])
    (visual,) = prompt.visuals
    pixels = visual.patches().numpy()
    count = len(prompt.token_ids_T)
    answer: list[int] = []
    for _ in range(4):
        answer.append(int(cached_logits(model, [prompt], [answer])[0][-1].argmax()))
    return {
        "picture": picture,
        "question": np.array(QUESTION),
        "grid_thw": np.array(visual.grid_thw),
        "patch_sum": np.frombuffer(hashlib.sha256(pixels.tobytes()).digest(), dtype=np.uint8),
        "patch_sample": sampled(pixels),
        "token_ids": prompt.token_ids_T.numpy(),
        "positions": prompt.positions_3T.numpy(),
        "rope_delta": np.array(prompt.rope_delta),
        "visual": visual_tokens_of(model, [visual]).numpy(),
        "logits": one_pass_logits(model, prompt, range(count - 4, count)).numpy(),
        "answer_ids": np.array(answer),
    }


@pytest.fixture
def folder(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint that has its own golden file."""
    copy = tmp_path / "model"
    shutil.copytree(checkpoint, copy)
    np.savez(copy / CHECKPOINT_GOLDEN, **own_numbers(copy))
    return copy


def checked(folder: Path) -> list[CheckResult]:
    golden = read_own_golden(folder, Processor.from_folder(folder))
    assert golden is not None
    return [check_own_prompt(golden), check_own_model(golden, load_model(folder, dtype=torch.float32))]


def test_right_numbers_are_equal(folder: Path) -> None:
    assert [(result.verdict, result.cases) for result in checked(folder)] == [("equal", 4), ("equal", 3)]


def other_sum(arrays: Arrays) -> None:
    arrays["patch_sum"] = arrays["patch_sum"][::-1].copy()


def other_id(arrays: Arrays) -> None:
    arrays["token_ids"][3] += 1


def other_position(arrays: Arrays) -> None:
    arrays["positions"][1, -1] += 1


def other_delta(arrays: Arrays) -> None:
    arrays["rope_delta"] += 1


def other_visual(arrays: Arrays) -> None:
    arrays["visual"][0] *= 1.1


def other_logits(arrays: Arrays) -> None:
    arrays["logits"][2] *= 1.1


def other_answer(arrays: Arrays) -> None:
    arrays["answer_ids"][-1] = (arrays["answer_ids"][-1] + 1) % 2000


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        (other_sum, "patches"),
        (other_id, "token ids"),
        (other_position, "positions"),
        (other_delta, "rope_delta"),
        (other_visual, "visual tokens"),
        (other_logits, "logits"),
        (other_answer, "answer"),
    ],
)
def test_each_number_is_compared(change: Callable[[Arrays], None], detail: str, folder: Path) -> None:
    arrays = own_numbers(folder)
    change(arrays)
    np.savez(folder / CHECKPOINT_GOLDEN, **arrays)
    differing = [result for result in checked(folder) if result.differing]
    assert [result.detail for result in differing] == [detail]


def test_a_golden_that_lacks_numbers_is_told(folder: Path) -> None:
    np.savez(folder / CHECKPOINT_GOLDEN, picture=np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(CheckpointError, match=r"golden\.npz: no question, grid_thw"):
        read_own_golden(folder, Processor.from_folder(folder))


def test_a_folder_without_golden_has_none(checkpoint: Path) -> None:
    assert read_own_golden(checkpoint, Processor.from_folder(checkpoint)) is None


def test_the_suite_uses_it(folder: Path) -> None:
    *_, last = verify(folder)
    verdicts = {result.check: result.verdict for result in last.run()}
    assert verdicts["its own golden: the prompt"] == verdicts["its own golden: the model"] == "equal"


def test_golden_logits_are_for_float32(folder: Path) -> None:
    *_, last = verify(folder, dtype="bfloat16")
    checks = [result.check for result in last.run()]
    assert "its own golden: the prompt" in checks
    assert "its own golden: the model" not in checks


def test_the_embedded_checkpoint_equals_transformers() -> None:
    if "tiny" not in [one.name for one in list_models()]:
        pytest.skip("this tree holds no embedded checkpoint yet")
    assert (resolve() / CHECKPOINT_GOLDEN).exists()
    results = [result for stage in verify() for result in stage.run()]
    assert [result.check for result in results if result.verdict != "equal"] == []
