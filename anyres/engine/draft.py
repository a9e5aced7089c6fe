"""A smaller model that guesses what a larger one will say: it reads the same prompts and answers, and goes ahead.

It sees the same pictures through an encoder of its own, at the same places and M-RoPE positions, and keeps keys and
values in a cache of its own, as many blocks as the larger one has. Its guesses are its likeliest ids. Whatever they
are, the answer stays what it is (speculation.py); what goes wrong here costs a request the draft, and nothing else.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from anyres.engine.blocks import BlockManager
from anyres.engine.choosing import attempt
from anyres.engine.estimate import text_parameters, vision_parameters
from anyres.engine.kv_cache import KVCache, PagedAttention
from anyres.engine.lookup import common_length
from anyres.engine.options import EngineOptions
from anyres.engine.pace import Costs, Rate
from anyres.engine.prefix import positions_of
from anyres.engine.request import Sequence as Answering
from anyres.engine.runner import Feed, Passed, Runner
from anyres.engine.sampler import unpack_mask
from anyres.engine.scheduler import Item, Job, Sight
from anyres.engine.vision_cache import VisionCache
from anyres.engine.visuals import Visuals
from anyres.model.qwen2vl import Qwen2VL
from anyres.model_input import VisualInput

__all__ = ["LEVEL", "Draft", "DraftModel", "Follower", "reading_work"]

logger = logging.getLogger(__name__)

LEVEL = 16  # tokens that may be read together with the first guess


class DraftModel(NamedTuple):
    """What an engine needs for drafts. `vision_cache` holds visual tokens of this model's own encoder."""

    runner: Runner
    vision_cache: VisionCache | None = None
    paged_attention: PagedAttention | None = None


@dataclass(eq=False)
class Follower:
    """How far the draft has followed one answer.

    Its cache holds the first `read` tokens of the prompt, and after the prompt the ids `said`, of which the last may be
    guesses that the answer did not follow.
    """

    sequence: Answering
    job: Job  # the larger model's: items of the prompt, and names of blocks
    visuals: Mapping[bytes, VisualInput]
    table: list[int] = field(default_factory=list)
    read: int = 0
    said: list[int] = field(default_factory=list)
    named: int = 0
    looked: bool = False  # for what the caches know of it
    lost: bool = False  # something went wrong: no more drafts
    guesses: list[int] = field(default_factory=list)
    sure: float = 1.0  # chance that all guesses are right, as the draft sees it

    @property
    def places(self) -> int:
        """Tokens in the cache."""
        return self.read + len(self.said)

    @property
    def prompt_length(self) -> int:
        return len(self.sequence.prompt.token_ids_T)

    @property
    def tokens(self) -> int:
        """Of prompt and answer."""
        return self.prompt_length + len(self.sequence.answer_ids)

    @property
    def ahead(self) -> list[Item]:
        """Pictures and clips that are not all read."""
        return [item for item in self.job.items if item.stop > self.read]


class Draft:
    """The smaller model, and what it has read for whom. Who is followed, and when that pays, is not decided here.

    It has as many `blocks` as the larger one, and keeps as many `idle` ones.
    """

    def __init__(
        self,
        model: DraftModel,
        options: EngineOptions,
        *,
        blocks: int,
        idle: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        inner = model.runner.model
        self.config = inner.config
        self.costs = Costs(model.runner.row_step)
        self.reading = Rate()
        self._runner = model.runner
        self._limits = options.limits
        self._size = options.block_size
        self._clock = clock
        self._blocks = BlockManager(blocks, idle=idle)
        self._visuals = Visuals(model.runner, model.vision_cache)
        self._cache = KVCache(
            inner.config.text,
            device=inner.device,
            dtype=inner.dtype,
            kept_as=options.stored_dtype(inner.dtype),
            block_size=options.block_size,
            paged_attention=model.paged_attention,
        )

    @property
    def bytes(self) -> int:
        """Of the KV cache."""
        return self._cache.store.bytes

    def can_follow(self, sequence: Answering) -> bool:
        """Not where a picture came through another encoder, nor beyond this model's own context."""
        seen = any(visual.visual_MD is not None for visual in sequence.prompt.visuals)
        longest = len(sequence.prompt.token_ids_T) + sequence.prompt.rope_delta + sequence.max_tokens
        return not seen and longest <= self.config.text.max_position_embeddings

    def is_level(self, follower: Follower) -> bool:
        """Whether it may guess in the next pass."""
        self._agree(follower)
        return not follower.ahead and follower.tokens - follower.places <= LEVEL

    def unread(self, follower: Follower) -> float:
        """Operations until it is level. What the caches know is taken first."""
        self._look(follower)
        unseen = self._unseen(follower)
        patches = sum(item.patches * (item.parts - self._visuals.parts(item.key)) for item in unseen)
        return self._work(follower.tokens - follower.places, patches)

    def read_on(self, follower: Follower) -> float:
        """Encodes some of the next picture, or reads what is known up to it. Returns seconds."""
        started = self._clock()
        self._look(follower)
        unseen = self._unseen(follower)
        if unseen and unseen[0].start <= follower.places:
            work = self._see(follower, unseen[0])
        else:
            work = self._read(follower, min([follower.tokens - 1, *(item.start for item in unseen)]))
        spent_s = self._clock() - started
        if work:
            self.reading.note(work, spent_s)
        return spent_s

    def guess(self, followers: Sequence[Follower], counts: Sequence[int], *, least: float = 0.0) -> float:
        """Sets the `guesses` of some that are level, so many for each; fewer once their chance falls below `least`.

        Returns seconds.
        """
        started = self._clock()
        for follower in followers:
            self._agree(follower)
            follower.guesses, follower.sure = [], 1.0
        for number in range(max(counts, default=0)):
            wanted = zip(followers, counts, strict=True)
            going = [one for one, count in wanted if number < count and len(one.guesses) == number]
            going = [one for one in going if one.sure >= least and not self._ended(one) and self._has_room(one)]
            if not going:
                break
            self._guess_one(going)
        return self._clock() - started

    def release(self, follower: Follower) -> None:
        """Its blocks are free; what they hold is known by name for a while."""
        self._blocks.give_back(follower.table)
        for item in follower.job.items:
            self._visuals.forget([item.key])
        follower.table, follower.said, follower.read, follower.named, follower.looked = [], [], 0, 0, False

    def clear(self) -> None:
        """Forgets what is kept for prompts to come."""
        self._blocks.clear()

    def _guess_one(self, followers: Sequence[Follower]) -> None:
        """One more guess for each."""
        started, before = self._clock(), [follower.places for follower in followers]
        stops = [follower.tokens + len(follower.guesses) for follower in followers]
        logits = self._forward(followers, stops)
        for follower, stop in zip(followers, stops, strict=True):
            if follower in logits:
                self._keep(follower, stop)
                self._choose(follower, logits[follower])
        read = sum(stop - start for start, stop in zip(before, stops, strict=True))
        self.costs.note(read, self._clock() - started)

    def _choose(self, follower: Follower, logits_V: Tensor) -> None:
        """The likeliest id that the answer may hold there, if there is one."""
        mask_W = attempt(partial(follower.sequence.mask_after, follower.guesses))
        if isinstance(mask_W, Exception):
            return  # the grammar will say so itself, in its place
        banned_V = follower.sequence.sampler.banned_V
        shared = min(len(logits_V), len(banned_V))
        barred_V = banned_V[:shared]
        if mask_W is not None:
            allowed_V = unpack_mask(mask_W[None].to(logits_V.device), len(banned_V))[0]
            barred_V = barred_V | ~allowed_V[:shared]
        chances_V = logits_V[:shared].float().masked_fill(barred_V.to(logits_V.device), -torch.inf).softmax(-1)
        chance, token_id = (one.item() for one in chances_V.max(-1))
        if chance > 0:  # NaN where nothing is allowed
            follower.guesses.append(int(token_id))
            follower.sure *= chance

    def _ended(self, follower: Follower) -> bool:
        return follower.lost or (bool(follower.guesses) and follower.sequence.ends(follower.guesses[-1]))

    def _unseen(self, follower: Follower) -> list[Item]:
        return [item for item in follower.ahead if not self._visuals.is_whole(item.key)]

    def _see(self, follower: Follower, item: Item) -> float:
        """Returns operations, as `_read` does. Nothing while frames of a clip are still being decoded."""
        done, visual = self._visuals.parts(item.key), follower.visuals[item.key]
        stop = min(self._visuals.parts_ready(item, visual), done + max(1, self._limits.busy_budget[0] // item.patches))
        if stop <= done:
            return 0.0
        failed = self._visuals.encode([Sight(follower.job, item, done, stop)], follower.visuals)
        if failed:
            self._lose(follower, failed[item.key])
        return self._work(0, (stop - done) * item.patches)

    def _read(self, follower: Follower, stop: int) -> float:
        """No logits: whoever guesses next reads the last token."""
        start = follower.places
        stop = min(stop, start + self._limits.busy_budget[1])
        if not self._take(follower, stop):
            self._lose(follower, None)
        elif self._pass([follower], [stop], ends=False) is not None:
            self._keep(follower, stop)
        return self._work(stop - start, 0)

    def _work(self, tokens: int, patches: int) -> float:
        return reading_work(self._runner.model, tokens, patches)

    def _forward(self, followers: Sequence[Follower], stops: Sequence[int]) -> dict[Follower, Tensor]:
        """logits_V of those with which nothing went wrong."""
        passed = self._pass(followers, stops, ends=True)
        if passed is None:
            return {}
        return {one: passed.logits[number] for number, one in enumerate(followers) if number not in passed.failed}

    def _pass(self, followers: Sequence[Follower], stops: Sequence[int], *, ends: bool) -> Passed | None:
        feeds = [self._feed(one, stop, ends=ends) for one, stop in zip(followers, stops, strict=True)]
        passed = attempt(lambda: self._runner.forward(self._cache, feeds))
        if isinstance(passed, Exception):
            for follower in followers:
                self._lose(follower, passed)
            return None
        for number, error in passed.failed.items():
            self._lose(followers[number], error)
        return None if len(passed.failed) == len(followers) else passed

    def _feed(self, follower: Follower, stop: int, *, ends: bool) -> Feed:
        prompt, start, length = follower.sequence.prompt, follower.places, follower.prompt_length
        later = follower.sequence.answer_ids + follower.guesses
        ids = prompt.token_ids_T[start:stop].tolist() + later[max(0, start - length) : max(0, stop - length)]
        visuals = self._visuals.between(follower.ahead, follower.visuals, start, stop)
        return Feed(ids, positions_of(prompt, start, stop), follower.table, start, visuals, ends)

    def _keep(self, follower: Follower, stop: int) -> None:
        """The cache holds the places before `stop`."""
        follower.read = min(stop, follower.prompt_length)
        later = follower.sequence.answer_ids + follower.guesses
        follower.said = later[: max(0, stop - follower.prompt_length)]
        self._visuals.forget([item.key for item in follower.job.items if item.stop <= follower.read])
        for i in range(follower.named, min(stop, follower.tokens) // self._size):
            self._blocks.name(follower.table[i], follower.job.name_of(i))
            follower.named = i + 1

    def _agree(self, follower: Follower) -> None:
        """Lets go of guesses that the answer did not follow; one token at least is left to be read."""
        answer_ids = follower.sequence.answer_ids
        del follower.said[min(common_length(follower.said, answer_ids), max(0, len(answer_ids) - 1)) :]
        needed = self._blocks_for(follower.places)
        self._blocks.give_back(follower.table[needed:])
        del follower.table[needed:]

    def _look(self, follower: Follower) -> None:
        """Takes leading full blocks that are known from before, and pictures, once."""
        self._agree(follower)
        if follower.looked:
            return
        follower.looked = True
        for i in range((follower.tokens - 1) // self._size):
            block = self._blocks.reuse(follower.job.name_of(i))
            if block is None:
                break
            follower.table.append(block)
        follower.named = len(follower.table)
        self._keep(follower, follower.named * self._size)
        for item in follower.ahead:
            if not self._visuals.is_whole(item.key) and not self._visuals.parts(item.key):
                self._visuals.is_seen(item.key)

    def _has_room(self, follower: Follower) -> bool:
        return self._take(follower, follower.tokens + len(follower.guesses))

    def _take(self, follower: Follower, stop: int) -> bool:
        missing = self._blocks_for(stop) - len(follower.table)
        if missing > self._blocks.available:
            return False
        follower.table += self._blocks.take(max(0, missing))
        return True

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._size)

    def _lose(self, follower: Follower, error: Exception | None) -> None:
        """Without an error there is no room. What went wrong must not meet whoever gets the blocks next."""
        if error is not None:
            logger.warning("the draft model cannot follow an answer: %s", error)
        self._cache.wipe(follower.table[follower.places // self._size :])
        follower.lost = True
        self.release(follower)


def reading_work(model: Qwen2VL, tokens: int, patches: int) -> float:
    """Operations of so many tokens through the decoder's layers, and patches through the encoder."""
    text = model.config.text
    tables = (1 if text.tie_word_embeddings else 2) * text.vocab_size * text.hidden_size
    return 2.0 * (tokens * (text_parameters(text) - tables) + patches * vision_parameters(model.config.vision))
