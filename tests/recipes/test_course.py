"""A run of version 1 from its command to a checkpoint that answers, cut off and continued."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import anyres
from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.errors import CheckpointError
from anyres.training.saves import complete_saves
from recipes.tiny import course
from recipes.tiny.__main__ import main as recipe
from recipes.tiny.course import Course, main, parser, training_config
from recipes.tiny.mixture import GROUPS, TASKS, Mixture
from recipes.tiny.scale import SCALES, new_model, write_start
from recipes.tiny.taught import read_classes

CHECKPOINT = Path("anyres/checkpoints/tiny")
SMALL = ["--scale", "smoke", "--tokenizer", str(CHECKPOINT), "--tasks", "line", "shape", "--device", "cpu"]
SMALL += ["--threads", "2", "--tokens", "700", "--patches", "600", "--warmup-steps", "2", "--save-minutes", "0"]


def options_of(out: Path, *more: str) -> list[str]:
    return ["--out", str(out), *SMALL, *more]


def weights_of(out: Path) -> dict[str, torch.Tensor]:
    state = torch.load(complete_saves(out)[-1] / "training_state.pt", weights_only=True)
    return {**state["model"], **{f"teachers.{name}": one for name, one in state["auxiliary"].items()}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run of four steps, with a worker."""
    out = tmp_path_factory.mktemp("course") / "whole"
    main(options_of(out, "--steps", "4", "--workers", "1"))
    return out


def test_what_a_run_leaves(run: Path) -> None:
    names = {path.name for path in run.iterdir()}
    assert {"start", "classes.json", "levels.csv", "curve.csv", "step-00000004"} <= names
    assert not (run / "rejected.jsonl").exists()
    assert (run / "levels.csv").read_text().splitlines()[0] == ",".join(GROUPS)


def test_a_save_opens_and_answers(run: Path) -> None:
    model = anyres.load(complete_saves(run)[-1], device="cpu", dtype="float32")
    picture = np.full((28, 112, 3), 255, np.uint8)
    asked = [Message("user", [ImagePart(picture), TextPart("Read the text.")])]
    answer = model.chat(asked, options=GenerationOptions(max_tokens=4, temperature=0.0))
    assert answer.usage.completion_tokens <= 4


@pytest.mark.parametrize("beside", [False, True], ids=["one file", "beside a checkpoint"])
def test_what_is_kept_of_a_run_starts_another(run: Path, tmp_path: Path, *, beside: bool) -> None:
    """Averaged weights and teachers, up to the rounding of bfloat16, their classes, which are not those that the packs
    here would give, and the levels; a step is a new run's first."""
    other, file = tmp_path / "run", tmp_path / "kept.pt"
    shutil.copytree(run, other)
    told = json.loads((run / "classes.json").read_text())
    told["letters"] = dict(zip(reversed(told["letters"]), told["letters"].values(), strict=True))
    (other / "classes.json").write_text(json.dumps(told))
    recipe(["keep", str(other), str(file), *["--teachers-only"] * beside])
    save = complete_saves(run)[-1]
    state = torch.load(save / "training_state.pt", weights_only=True)
    begun = ["--start", str(save), "--teachers", str(file)] if beside else ["--start", str(file)]
    asked = "--steps", "1", "--workers", "0", "--levels", "page=0.7", *begun
    one = Course(parser().parse_args(options_of(tmp_path / "out", *asked)))
    assert one.trainer.progress.step == 0
    for ours, theirs in ((one.trainer.model, state["average"]), (one.teachers, state["auxiliary"])):
        for name, own in ours.state_dict().items():
            if name == "levels_G":
                continue
            kept = theirs[name].bfloat16().float() if theirs[name].dtype == torch.float32 else theirs[name]
            assert torch.equal(own, kept), name
    assert read_classes(tmp_path / "out" / "classes.json").letters == told["letters"]
    assert one._levels() == dict(zip(GROUPS, state["auxiliary"]["levels_G"].tolist(), strict=True)) | {"page": 0.7}
    kept = torch.load(file, weights_only=True)
    assert ("model" in kept) != beside
    assert file.stat().st_size < 0.2 * (save / "training_state.pt").stat().st_size


def test_teachers_that_are_not_there_are_named(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.pt")
    with pytest.raises(CheckpointError, match=r"absent\.pt: no such file"):
        Course(parser().parse_args(options_of(tmp_path / "out", "--steps", "1", "--teachers", absent)))


def test_a_state_starts_another_run_with_its_classes(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "run"
    shutil.copytree(run, other)
    told = json.loads((run / "classes.json").read_text())
    told["names"] = told["names"][::-1]
    (other / "classes.json").write_text(json.dumps(told))
    start = complete_saves(other)[-1] / "training_state.pt"
    Course(parser().parse_args(options_of(tmp_path / "out", "--steps", "1", "--workers", "0", "--start", str(start))))
    assert [*read_classes(tmp_path / "out" / "classes.json").names] == told["names"]


def test_nothing_is_kept_of_what_was_not_saved(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no save"):
        recipe(["keep", str(tmp_path), str(tmp_path / "kept.pt")])
    assert not (tmp_path / "kept.pt").exists()


def test_cut_off_and_continued_is_the_same_run(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "cut"
    main(options_of(out, "--steps", "2", "--workers", "0"))
    with (out / "levels.csv").open("a") as file:  # as if more had been decided after the save
        file.write(",".join(["0.9"] * len(GROUPS)) + "\n")
    main(options_of(out, "--steps", "4", "--workers", "0"))
    ours, whole = weights_of(out), weights_of(run)
    assert ours.keys() == whole.keys()
    assert all(torch.equal(ours[name], whole[name]) for name in ours)
    assert (out / "levels.csv").read_text() == (run / "levels.csv").read_text()


def test_levels_follow_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(course, "FEWEST_SAMPLES", 2)
    one = Course(parser().parse_args(options_of(tmp_path, "--steps", "1", "--workers", "0", "--level", "0.5")))
    line, shape = course.GROUP_NUMBERS["line"], course.GROUP_NUMBERS["shape"]
    one.teachers.seen_G[line], one.teachers.right_G[line] = 10, 9
    one.teachers.seen_G[shape], one.teachers.right_G[shape] = 10, 1
    one._change_levels()
    levels = one._levels()
    scale = one.block / course.SAMPLES_OF_CHANGE
    assert levels["line"] == pytest.approx(0.5 + scale * course.RISE)
    assert levels["shape"] == pytest.approx(0.5 - scale * course.FALL)
    assert levels["talk"] == 0.5
    assert one.teachers.seen_G[line] == 0
    assert one.levels.decided == 2


def test_groups_that_are_known_begin_at_their_own_level_and_share(tmp_path: Path) -> None:
    options = options_of(tmp_path, "--steps", "1", "--workers", "0", "--level", "0.1", "--levels", "line=0.9")
    one = Course(parser().parse_args([*options, "--shares", "line=3", "--languages", "de", "fr"]))
    assert one._levels() == dict.fromkeys(GROUPS, 0.1) | {"line": 0.9}
    mixture = one.trainer.recipe.source
    assert isinstance(mixture, Mixture)
    assert mixture.languages == ("de", "fr")
    shares = {task.maker: task.share for task in mixture.tasks}
    known = {task.maker: task.share for task in TASKS}
    assert {maker: round(share / known[maker], 3) for maker, share in shares.items() if share != known[maker]} == {
        "make_line": 3.0
    }
    with pytest.raises(SystemExit):
        parser().parse_args([*options, "--levels", "poems=1"])


def test_told_to_end_it_saves(tmp_path: Path) -> None:
    one = Course(parser().parse_args(options_of(tmp_path, "--steps", "50", "--workers", "0")))
    one.end(15, None)
    one.run()
    assert [path.name for path in complete_saves(tmp_path)] == ["step-00000001"]


def test_starting_from_a_state_and_from_a_checkpoint(run: Path, tmp_path: Path) -> None:
    save = complete_saves(run)[-1]
    state = tmp_path / "state"
    one = Course(parser().parse_args(options_of(state, "--steps", "1", "--start", str(save / "training_state.pt"))))
    whole = weights_of(run)
    assert all(torch.equal(p, whole[name]) for name, p in one.trainer.model.named_parameters())
    assert torch.equal(one.teachers.letters.weight, whole["teachers.letters.weight"])
    other = new_model(run / "start", weights=save)
    assert torch.equal(other.model.norm.weight, anyres_weights(save)["model.norm.weight"])


def anyres_weights(folder: Path) -> dict[str, torch.Tensor]:
    from anyres.model.weights import load_model

    return load_model(folder, dtype=torch.float32).state_dict()


def test_another_shape_is_refused(run: Path, tmp_path: Path) -> None:
    write_start(tmp_path, SCALES["smoke"]._replace(depth=4), tokenizer=CHECKPOINT)
    with pytest.raises(CheckpointError, match="another shape"):
        new_model(tmp_path, weights=complete_saves(run)[-1])


def test_unknown_groups_are_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="poems"):
        main(options_of(tmp_path, "--steps", "1", "--tasks", "poems"))


def test_rates_fall_in_the_last_minutes(tmp_path: Path) -> None:
    options = parser().parse_args(["--out", "x", "--minutes", "100", "--decay-minutes", "25", "--bf16"])
    config = training_config(options)
    assert config.schedule.decay == 0.25
    assert config.step.precision == "bf16"
    assert config.saves.dtype == "bfloat16"


def test_version_1_is_within_its_limits(tmp_path: Path) -> None:
    """With all ranks: 15 to 25 M parameters, at most 45 MB in bfloat16, a context of 4,096."""
    from recipes.tiny.scale import RANKS, model_config

    write_start(tmp_path, SCALES["version-1"], tokenizer=CHECKPOINT)
    model = new_model(tmp_path)
    text = model.config.text
    parameters = sum(p.numel() for p in model.parameters()) + (RANKS + 14 - text.vocab_size) * text.hidden_size
    assert 15e6 < parameters < 22.5e6
    assert text.max_position_embeddings >= 4096
    assert (text.head_dim, model.config.vision.head_dim) == (64, 32)
    assert 2 * sum(text.mrope_section) == text.head_dim
    assert callable(model_config)
