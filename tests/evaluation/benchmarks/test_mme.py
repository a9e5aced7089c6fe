"""MME: the sums of real outputs, by counts; its own rule for yes and no against others'; its published folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from anyres.chat import TextPart
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Extraction, Graded, Scoring
from anyres.evaluation.benchmarks.mme import MME
from anyres.evaluation.metrics.mme import COGNITION, PERCEPTION, summarise_mme
from anyres.evaluation.sample import Reply, Sample
from tests.evaluation.shared_data import golden

OFFICIAL, STRICT = MME.scorings
BOTH_WORDS = "Yes, there is no doubt."


def answers_with_counts() -> Iterator[tuple[Sample, str]]:
    """Samples and answers with the counts that LaVIN's public result has in each subtask.

    One right answer of commonsense reasoning holds both words, as the published figures of the two rules tell: they
    differ by one question of 140 and by no pair.
    """
    for subtask, counts in golden()["mme_lavin_counts"]["subtasks"].items():
        singles = counts["questions_right"] - 2 * counts["pairs_right"]
        for picture in range(counts["images"]):
            pair = picture < counts["pairs_right"]
            single = counts["pairs_right"] <= picture < counts["pairs_right"] + singles
            for question, right in enumerate((pair or single, pair)):
                last = single and picture == counts["pairs_right"] + singles - 1 and question == 0
                odd = last and subtask == "commonsense_reasoning"
                answer = BOTH_WORDS if odd else "Yes" if right else "No"
                yield sample(f"{subtask}/{picture}/{question}", cluster=f"{subtask}/{picture}", subtask=subtask), answer


def sample(name: str, *, cluster: str, subtask: str, gold: str = "yes") -> Sample:
    return Sample(name, "?", golds=(gold,), cluster=cluster, categories={"category": subtask})


def graded(scoring: Scoring) -> list[Graded]:
    found = []
    for one, answer in answers_with_counts():
        extraction = scoring.extract(Reply(answer), one)
        found.append(Graded(one, extraction, scoring.grade(extraction, one)))
    return found


def test_real_counts_give_the_published_sums() -> None:
    figures = OFFICIAL.summarise(graded(OFFICIAL))
    published = golden()["mme_lavin_counts"]
    assert round(figures["perception"], 2) == published["perception"] == 963.61
    assert round(figures["cognition"], 2) == published["cognition"] == 249.64
    assert {name: round(figures[name], 2) for name in PERCEPTION + COGNITION} == {
        name: counts["score"] for name, counts in published["subtasks"].items()
    }
    assert next(iter(figures)) == "total"
    assert figures["total"] == pytest.approx(figures["perception"] + figures["cognition"])


def test_the_parse_alone_moves_the_score() -> None:
    figures = STRICT.summarise(graded(STRICT))
    published = golden()["mme_lavin_counts"]["with_vlmevalkit_yes_no_rule"]
    assert round(figures["perception"], 2) == published["perception"]
    assert round(figures["cognition"], 2) == published["cognition"] == 248.93


def test_a_picture_without_its_second_question_crashes_nothing() -> None:
    """Both kits index or assert the pair."""
    whole = [Graded(sample(f"a/{n}", cluster="a", subtask="count"), Extraction("yes", ""), 1.0) for n in range(2)]
    lone = Graded(sample("b/0", cluster="b", subtask="count"), Extraction("no", ""), 0.0)
    assert summarise_mme([*whole, lone])["count"] == pytest.approx(100 * 2 / 3 + 100)
    assert summarise_mme([lone])["total"] == 0
    assert summarise_mme([]) == {"total": 0, "perception": 0, "cognition": 0}


def test_pictures_that_are_drawn_twice_count_twice() -> None:
    right = [Graded(sample(f"a/{n}", cluster="a", subtask="scene"), Extraction("yes", ""), 1.0) for n in range(2)]
    wrong = [Graded(sample(f"b/{n}", cluster="b", subtask="scene"), Extraction("no", ""), n) for n in range(2)]
    assert summarise_mme([*right, *right, *wrong])["scene"] == pytest.approx(100 * 5 / 6 + 100 * 2 / 3)


def folder(root: Path, lines: str) -> Path:
    (root / "count" / "images").mkdir(parents=True)
    (root / "count" / "images" / "1.jpg").write_bytes(b"")
    (root / "count.txt").write_text(lines, "utf-8")
    return root


def test_its_published_folder(tmp_path: Path) -> None:
    lines = "1.jpg\tIs there one? Please answer yes or no.\tYes\n1.jpg\tTwo? Please answer yes or no.\tNo\tyes, two\n"
    first, second = MME.read(folder(tmp_path, lines))
    assert (first.id, first.golds, first.cluster) == ("count/1", ("yes",), "count/1.jpg")
    assert (second.id, second.golds, second.cluster) == ("count/2", ("no",), "count/1.jpg")
    assert MME.prompt(first)[0].parts == (*first.media, TextPart("Is there one? Please answer yes or no."))
    assert first.media[0].image == tmp_path / "count" / "images" / "1.jpg"


@pytest.mark.parametrize("line", ["1.jpg\tIs there one?", "1.jpg\tIs there one?\tMaybe", "2.jpg\tIs there one?\tYes"])
def test_broken_lines_are_named(line: str, tmp_path: Path) -> None:
    found = MME.read(folder(tmp_path, f"{line}\n1.jpg\tOne?\tYes\n"))
    with pytest.raises(DatasetError, match=r"count\.txt:1"):
        next(found)
    assert next(found).id == "count/2"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "count.txt").write_bytes(b"1.jpg\tIs there one\xff?\tYes")
    with pytest.raises(DatasetError, match=r"count\.txt: not readable"):
        list(MME.read(tmp_path))
    with pytest.raises(DatasetError, match="no such file"):
        list(MME.read(tmp_path / "elsewhere"))
