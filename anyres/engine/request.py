"""One answer in the making: its prompt, its resolved options, and what has been generated so far."""

from collections.abc import Sequence as Run
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from anyres.chat import Answer, FinishReason, GenerationOptions, Piece, Timings, TokenLogprob, Usage
from anyres.config import Qwen2VLConfig, read_json
from anyres.engine.detokenizer import GROUNDING_TOKENS, Detokenizer
from anyres.engine.loops import LoopDetector
from anyres.engine.sampler import Choice, Sampler, SamplingOptions
from anyres.errors import CheckpointError, OptionError
from anyres.model_input import ModelInput
from anyres.processing.tokenizer import Tokenizer

if TYPE_CHECKING:
    from anyres.engine.grammar import Matcher

__all__ = ["GenerationDefaults", "Sequence", "silent_ids"]

TURN_END = "<|im_end|>"
DEFAULT_MAX_TOKENS = 1024


@dataclass(frozen=True)
class GenerationDefaults:
    """A checkpoint's generation_config.json: which ids end an answer, and the options where a request names none."""

    eos_token_ids: frozenset[int]
    options: GenerationOptions = field(default_factory=GenerationOptions)
    do_sample: bool = False

    @staticmethod
    def from_folder(folder: Path, config: Qwen2VLConfig, tokenizer: Tokenizer) -> "GenerationDefaults":
        """Reads the file. Without one the answer is greedy and ends where the chat template ends a turn."""
        path = folder / "generation_config.json"
        if not path.exists():
            return GenerationDefaults(frozenset({config.eos_token_id, tokenizer.special_id(TURN_END)}))
        raw = read_json(path)
        try:
            options = GenerationOptions(
                max_tokens=raw.get("max_new_tokens"), **{name: raw[name] for name in _FILE_KNOBS if name in raw}
            )
        except OptionError as error:
            raise CheckpointError(f"{path}: {error.item}", error.seen, error.allowed) from None
        return GenerationDefaults(_eos_ids(raw, config, path), options, bool(raw.get("do_sample")))

    def resolve(self, options: GenerationOptions) -> SamplingOptions:
        """A request's options over the checkpoint's.

        The four knobs that shape the draw belong together: a request that names any of temperature, top_p, top_k and
        min_p draws by its own alone (unnamed: 1, 1, off, off). The published files set top_k to 1, which would keep
        an answer greedy whatever temperature is asked for.

        >>> file = GenerationDefaults(frozenset(), GenerationOptions(temperature=0.01, top_k=1), do_sample=True)
        >>> file.resolve(GenerationOptions()).top_k, file.resolve(GenerationOptions(temperature=0.7)).top_k
        (1, 0)
        """
        named = any(getattr(options, knob) is not None for knob in _DRAW_KNOBS)
        source = options if named else self.options
        penalty = options.repetition_penalty or self.options.repetition_penalty
        chosen = SamplingOptions(
            temperature=1.0 if source.temperature is None else source.temperature,
            top_k=source.top_k or 0,
            top_p=1.0 if source.top_p is None else source.top_p,
            min_p=source.min_p or 0.0,
            repetition_penalty=1.0 if penalty is None else penalty,
            presence_penalty=options.presence_penalty,
            frequency_penalty=options.frequency_penalty,
            seed=options.seed,
            logprobs=options.logprobs,
            logit_bias=tuple((options.logit_bias or {}).items()),
        )
        return chosen if named or self.do_sample else replace(chosen, temperature=0.0)

    def max_tokens(self, options: GenerationOptions, room: int) -> int:
        """Longest answer: what is asked for, else the file's or 1,024, and never more than `room` in the context."""
        return min(options.max_tokens or self.options.max_tokens or DEFAULT_MAX_TOKENS, room)


class Sequence:
    """One request on its way through the engine. `take` turns the model's logits into the next piece of text."""

    def __init__(
        self,
        prompt: ModelInput,
        *,
        usage: Usage,
        sampler: Sampler,
        detokenizer: Detokenizer,
        tokenizer: Tokenizer,
        max_tokens: int,
        eos_token_ids: frozenset[int],
        matcher: "Matcher | None" = None,
        loops: LoopDetector | None = None,
        speculate: bool = True,
        min_tokens: int = 0,
        banned_V: Tensor | None = None,
    ) -> None:
        """Until there are `min_tokens` the sampler bans what ends an answer, from then on `banned_V`."""
        self.prompt = prompt
        self._min_tokens = min_tokens
        self._banned_V = banned_V
        self.speculate = speculate
        self.usage = usage  # of the prompt
        self.answer_ids: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.timings = Timings()
        self.max_tokens = max_tokens
        self.sampler = sampler
        self._matcher = matcher
        self._loops = loops
        self._detokenizer = detokenizer
        self._tokenizer = tokenizer
        self._eos_token_ids = eos_token_ids
        self._text: list[str] = []
        self._logprobs: list[TokenLogprob] = []
        self._sent_logprobs = 0

    def take(self, logits_V: Tensor) -> Piece | None:
        """Draws the next token. None while there is no new text: half a character, or what may be a stop string."""
        return self.accept(self.sampler.choose(logits_V, self.mask()))

    def mask(self) -> Tensor | None:
        """What the grammar allows next; see `choose_batch`."""
        return None if self._matcher is None else self._matcher.mask()

    def agreeing(self, token_ids: Run[int]) -> int:
        """How many of these ids, from the first on, the grammar would take."""
        return len(token_ids) if self._matcher is None else self._matcher.agreeing(token_ids)

    def mask_after(self, token_ids: Run[int]) -> Tensor | None:
        """`mask()` behind ids that the grammar would take."""
        return None if self._matcher is None else self._matcher.masks_along(token_ids)[-1]

    def ends(self, token_id: int) -> bool:
        """Whether no answer goes on behind this id."""
        return token_id in self._eos_token_ids

    def accept(self, choice: Choice) -> Piece | None:
        """Takes the next token, and behind it those that the grammar leaves no choice about."""
        assert self.finish_reason is None, "the answer is complete"
        text = self._add(choice)
        for token_id in self._forced():
            if self.finish_reason is None:
                self.sampler.saw(token_id)
                text += self._add(Choice(token_id))
        return self._piece(text + (self._detokenizer.finish() if self.finish_reason else ""))

    def spend(self, **seconds: float) -> None:
        """Adds to the timings, as `spend(decode_s=0.1)`."""
        self.timings = replace(
            self.timings, **{name: getattr(self.timings, name) + more for name, more in seconds.items()}
        )

    def answer(self) -> Answer:
        """The whole answer; whoever stops reading before the end gets what there is, as cut by length."""
        return Answer(
            text="".join(self._text),
            finish_reason=self.finish_reason or "length",
            usage=replace(self.usage, completion_tokens=len(self.answer_ids)),
            timings=self.timings,
            notes=tuple(visual.note for visual in self.prompt.visuals if visual.note),
            logprobs=None if self.sampler.options.logprobs is None else tuple(self._logprobs),
        )

    def _add(self, choice: Choice) -> str:
        self.answer_ids.append(choice.token_id)
        if len(self.answer_ids) == self._min_tokens and self._banned_V is not None:
            self.sampler.banned_V = self._banned_V
        ends = choice.token_id in self._eos_token_ids
        if self._matcher is not None:
            self._matcher.accept(choice.token_id)
            ends = ends or self._matcher.done
        text = "" if choice.token_id in self._eos_token_ids else self._push(choice)
        if ends or self._detokenizer.stopped:
            self.finish_reason = "stop"
        elif self._loops is not None and self._loops.push(text):
            self.finish_reason = "repetition"
        elif len(self.answer_ids) >= self.max_tokens:
            self.finish_reason = "length"
        return text

    def _forced(self) -> list[int]:
        """None where logprobs are wanted, which only the model can give."""
        if self._matcher is None or self.finish_reason or self.sampler.options.logprobs is not None:
            return []
        return self._matcher.forced()

    def _push(self, choice: Choice) -> str:
        if choice.logprob is not None:
            top = tuple((self._spelled(token_id), logprob) for token_id, logprob in choice.top)
            self._logprobs.append(TokenLogprob(self._spelled(choice.token_id), choice.logprob, top))
        return self._detokenizer.push(choice.token_id)

    def _spelled(self, token_id: int) -> str:
        return self._tokenizer.token_bytes(token_id).decode("utf-8", "replace")

    def _piece(self, text: str) -> Piece | None:
        logprobs = tuple(self._logprobs[self._sent_logprobs :])
        if not text and not (self.finish_reason and logprobs):
            return None
        self._text.append(text)
        self._sent_logprobs = len(self._logprobs)
        return Piece(text, logprobs, len(self.answer_ids))


def silent_ids(tokenizer: Tokenizer) -> frozenset[int]:
    """Special tokens that an answer's text leaves out: all but those of boxes, quads and object names."""
    kept = {token.encode() for token in GROUNDING_TOKENS}
    return frozenset(one for one in tokenizer.special_ids if tokenizer.token_bytes(one) not in kept)


_DRAW_KNOBS = ("temperature", "top_p", "top_k", "min_p")
_FILE_KNOBS = (*_DRAW_KNOBS, "repetition_penalty")


def _eos_ids(raw: dict[str, Any], config: Qwen2VLConfig, path: Path) -> frozenset[int]:
    seen = raw.get("eos_token_id")
    ids = [config.eos_token_id] if seen is None else seen if isinstance(seen, list) else [seen]
    if not all(isinstance(one, int) and not isinstance(one, bool) for one in ids):
        raise CheckpointError(f"{path}: eos_token_id", repr(seen), "a token id or a list of them")
    return frozenset(ids)
