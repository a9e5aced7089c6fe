"""Where agents' environments come in: a seeded episode played by a chat model, kept as records like everything else.

An `Environment` shows something and takes an action in words. `play` asks the model step by step; each step becomes a
`Record` and a `Sample`, so that reports, intervals and rescoring work for games as they do for questions. An answer
that is no action is counted as one and never replaced by a random action, which would raise scores.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from anyres.chat import ChatModel, GenerationOptions, ImagePart, Message, TextPart, VideoPart
from anyres.evaluation.benchmark import Extraction, Graded, Scoring
from anyres.evaluation.metrics.groups import groups_of, mean, share_of_full_groups
from anyres.evaluation.record import Record
from anyres.evaluation.sample import Reply, Sample

__all__ = ["EPISODES", "Environment", "Episode", "Outcome", "Step", "play", "records_of", "samples_of"]

GREEDY = GenerationOptions(max_tokens=512, temperature=0.0)


class Outcome(NamedTuple):
    """What an action led to. `valid`: it was an action at all; an invalid one changes nothing but the count of steps.
    With `success` the episode's goal is reached."""

    reward: float
    done: bool
    success: bool = False
    valid: bool = True


class Environment(Protocol):
    """A game, a screen, a building: the same seed and actions lead to the same outcomes."""

    name: str

    def reset(self, seed: int) -> None: ...

    def prompt(self) -> tuple[Message, ...]:
        """The whole conversation to now, what is seen in its last turn."""
        ...

    def step(self, answer: str) -> Outcome:
        """Reads the action out of an answer and does it."""
        ...


@dataclass(frozen=True)
class Step:
    """What was asked, answered, and came of it."""

    messages: tuple[Message, ...]
    raw: str
    finish_reason: str
    outcome: Outcome
    tokens: tuple[int, int, int] = (0, 0, 0)
    """Of the prompt, of its pictures, of the answer."""


@dataclass(frozen=True)
class Episode:
    """One episode from its seed to its end; `cut` when it ended because it became too long."""

    environment: str
    seed: int
    steps: tuple[Step, ...]
    cut: bool = False

    @property
    def id(self) -> str:
        return f"{self.environment}/{self.seed}"

    @property
    def reward(self) -> float:
        return sum(step.outcome.reward for step in self.steps)

    @property
    def success(self) -> bool:
        return any(step.outcome.success for step in self.steps)


def play(
    environment: Environment, model: ChatModel, *, seed: int, most_steps: int, options: GenerationOptions = GREEDY
) -> Episode:
    """Plays one episode to its end, or to `most_steps` answers."""
    environment.reset(seed)
    steps: list[Step] = []
    while len(steps) < most_steps:
        messages = environment.prompt()
        answer = model.chat(messages, options=options)
        usage = answer.usage
        tokens = (usage.prompt_tokens, usage.image_tokens + usage.video_tokens, usage.completion_tokens)
        steps.append(Step(messages, answer.text, answer.finish_reason, environment.step(answer.text), tokens))
        if steps[-1].outcome.done:
            return Episode(environment.name, seed, tuple(steps))
    return Episode(environment.name, seed, tuple(steps), cut=True)


def samples_of(episode: Episode) -> tuple[Sample, ...]:
    """A sample for each step; those of an episode are one cluster. What came of the step is among its facts."""
    return tuple(
        Sample(
            id=f"{episode.id}/{number}",
            question=_words(step.messages[-1:]),
            media=tuple(part for part in step.messages[-1].parts if isinstance(part, (ImagePart, VideoPart))),
            golds=("success",),
            cluster=episode.id,
            categories={"category": episode.environment},
            facts={"step": number, "seed": episode.seed, "last": number == len(episode.steps) - 1, **_told(step)},
        )
        for number, step in enumerate(episode.steps)
    )


def records_of(episode: Episode, *, benchmark: str, model: str, key: str, at: float = 0.0) -> tuple[Record, ...]:
    """A record for each step. `key` tells what decided the answers, as that of a run; each step's holds its number."""
    return tuple(
        Record(
            id=f"{episode.id}/{number}",
            benchmark=benchmark,
            model=model,
            key=f"{key}:{episode.seed}:{number}",
            prompt=_words(step.messages),
            raw=step.raw,
            finish_reason=step.finish_reason,
            prompt_tokens=step.tokens[0],
            visual_tokens=step.tokens[1],
            completion_tokens=step.tokens[2],
            notes=("the episode was cut",) if episode.cut and number == len(episode.steps) - 1 else (),
            settings={"seed": episode.seed, "step": number},
            at=at,
        )
        for number, step in enumerate(episode.steps)
    )


def step_of(reply: Reply, sample: Sample) -> Extraction:
    """What came of the step, which the environment told when it was played."""
    told = {name: sample.facts[name] for name in Outcome._fields}
    return Extraction(told, "played" if sample.facts["valid"] else "no action")


def grade_step(extraction: Extraction, sample: Sample) -> float:
    """1 for the steps of an episode before its last one, and for the last if the goal was reached: an episode is right
    as a whole or not at all."""
    return float(sample.facts["success"] if sample.facts["last"] else True)


def summarise_episodes(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Percent of episodes that reached their goal, mean reward, mean steps, percent of answers that were no action."""
    episodes = groups_of(graded, lambda sample: sample.cluster)
    drawn = [episode.members for episode in episodes for _ in range(episode.times)]
    return {
        "success": share_of_full_groups(episodes),
        "reward": mean([sum(step.sample.facts["reward"] for step in steps) for steps in drawn]),
        "steps": mean([float(len(steps)) for steps in drawn]),
        "no action": 100 * mean([float(not one.sample.facts["valid"]) for one in graded]),
    }


EPISODES = Scoring(
    "official",
    1,
    step_of,
    grade_step,
    summarise_episodes,
    about="An episode counts when its goal was reached; answers that are no action are counted, never replaced.",
)


def _told(step: Step) -> dict[str, Any]:
    return step.outcome._asdict()


def _words(messages: Sequence[Message]) -> str:
    """The conversation as text; what is seen is marked where it stands."""
    turns = []
    for message in messages:
        parts = [part.text if isinstance(part, TextPart) else f"<{type(part).__name__}>" for part in message.parts]
        turns.append(f"{message.role}: {' '.join(parts)}")
    return "\n".join(turns)
