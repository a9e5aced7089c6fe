"""The seam for environments: a small game played by models that know it, or do not; records and figures of it."""

from collections.abc import Sequence

import pytest

from anyres.chat import Answer, AnswerStream, GenerationOptions, Message, Usage
from anyres.evaluation.episodes import EPISODES, Outcome, play, records_of, samples_of
from anyres.evaluation.record import Record
from anyres.evaluation.scoring import graded


class Countdown:
    """Start at the seed, say "down" until 0; "up" is allowed and foolish."""

    name = "countdown"

    def reset(self, seed: int) -> None:
        self.place = seed

    def prompt(self) -> tuple[Message, ...]:
        return (Message("system", "Say up or down."), Message("user", f"At {self.place}."))

    def step(self, answer: str) -> Outcome:
        if answer not in ("up", "down"):
            return Outcome(-1.0, done=False, valid=False)
        self.place += 1 if answer == "up" else -1
        return Outcome(0.0 if self.place else 5.0, done=self.place == 0, success=self.place == 0)


class Saying:
    """Says these in turn."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    def chat(self, messages: Sequence[Message], *, options: GenerationOptions = GenerationOptions()) -> Answer:  # noqa: B008
        assert options.temperature == 0
        self.asked.append(str(messages[-1].content))
        return Answer(self.answers.pop(0), "stop", Usage(7, 0, 0, 1))

    def stream_chat(self, messages: Sequence[Message], *, options: GenerationOptions = ...) -> AnswerStream:  # type: ignore[assignment]
        raise NotImplementedError


def test_an_episode_is_played_and_kept() -> None:
    model = Saying("down", "left?", "down")
    episode = play(Countdown(), model, seed=2, most_steps=9)
    assert model.asked == ["At 2.", "At 1.", "At 1."]
    assert (episode.success, episode.cut, episode.reward) == (True, False, 4.0)
    records = records_of(episode, benchmark="countdown", model="saying", key="k")
    assert [Record.from_line(record.to_line(), "line") for record in records] == list(records)
    assert (records[1].id, records[1].raw, records[1].key, records[1].prompt_tokens) == (
        "countdown/2/1",
        "left?",
        "k:2:1",
        7,
    )
    assert records[0].prompt == "system: Say up or down.\nuser: At 2."


def test_figures_from_records() -> None:
    """Success is of episodes; an answer that is no action is told, and nothing random done for it."""
    played = [
        play(Countdown(), Saying("down", "left?", "down"), seed=2, most_steps=9),
        play(Countdown(), Saying("up", "up", "up"), seed=1, most_steps=3),
    ]
    samples = [sample for episode in played for sample in samples_of(episode)]
    records = {record.id: record for one in played for record in records_of(one, benchmark="c", model="m", key="k")}
    scored = graded(EPISODES, samples, records)
    figures = EPISODES.summarise(scored)
    assert figures == {
        "success": 50,
        "reward": pytest.approx((4 + 0) / 2),
        "steps": 3,
        "no action": pytest.approx(100 / 6),
    }
    assert played[1].cut
    assert records["countdown/1/2"].notes == ("the episode was cut",)
    twice = EPISODES.summarise([*scored[:3], *scored[:3]])  # as intervals draw clusters
    assert (twice["success"], twice["reward"]) == (100, 4)
    assert set(EPISODES.summarise([]).values()) == {0}
