"""Counts and times in Prometheus' form, under vLLM's names with another prefix."""

import time
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from anyres.chat import Answer, Usage

__all__ = ["Gauges", "Metrics", "Watch"]

PREFIX = "anyres:"
SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)

Gauges = Callable[[], dict[str, float]]


class Metrics:
    """Of one server. `gauges` is asked for what is now whenever somebody looks."""

    def __init__(self, gauges: Gauges, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._registry = CollectorRegistry()
        self._registry.register(_Now(gauges))
        self.prompt_tokens = self._counter("prompt_tokens", "Tokens of prompts.")
        self.generation_tokens = self._counter("generation_tokens", "Tokens of answers.")
        self.prefix_queries = self._counter("prefix_cache_queries", "Prompt tokens looked up in the prefix cache.")
        self.prefix_hits = self._counter("prefix_cache_hits", "Prompt tokens that were there.")
        self.mm_queries = self._counter("mm_cache_queries", "Visual tokens looked up in the vision cache.")
        self.mm_hits = self._counter("mm_cache_hits", "Visual tokens that were there.")
        self.success = self._counter("request_success", "Answers that were completed.", "finished_reason")
        self.rejected = self._counter("media_rejected", "Pictures, clips and files that were refused.", "code")
        self.aborted = self._counter("aborted", "Requests that ended without an answer.", "why")
        self.first_token = self._histogram("time_to_first_token_seconds", "From the request to the first text.")
        self.between = self._histogram("inter_token_latency_seconds", "From one piece of text to the next.")
        self.whole = self._histogram("e2e_request_latency_seconds", "From the request to the end of its answers.")
        self.queued = self._histogram("request_queue_time_seconds", "Waiting for a place and for the engine.")
        self.prefill = self._histogram("request_prefill_time_seconds", "Seeing pictures and reading the prompt.")
        self.decode = self._histogram("request_decode_time_seconds", "Writing the answer.")
        self.fetched = self._histogram("media_fetch_seconds", "Opening the media of a request.")

    def text(self) -> bytes:
        """What `/metrics` shows."""
        return generate_latest(self._registry)

    def answered(self, prompt: Usage, answer: Answer, *, queue_s: float) -> None:
        """One answer is complete."""
        usage, spent = answer.usage, answer.timings
        self.prompt_tokens.inc(prompt.prompt_tokens)
        self.generation_tokens.inc(usage.completion_tokens)
        self.prefix_queries.inc(prompt.prompt_tokens)
        self.prefix_hits.inc(usage.cached_tokens)
        self.mm_queries.inc(prompt.image_tokens + prompt.video_tokens)
        self.mm_hits.inc(usage.cached_visual_tokens)
        self.success.labels(answer.finish_reason).inc()
        self.queued.observe(queue_s + spent.wait_s)
        self.prefill.observe(spent.encode_s + spent.prefill_s)
        self.decode.observe(spent.decode_s)

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(PREFIX + name, words, labels, registry=self._registry)

    def _histogram(self, name: str, words: str) -> Histogram:
        return Histogram(PREFIX + name, words, buckets=SECONDS, registry=self._registry)


class Watch:
    """Times one request."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._started = self._last = metrics.clock()
        self._said = False

    def piece(self) -> None:
        now = self._metrics.clock()
        if self._said:
            self._metrics.between.observe(now - self._last)
        else:
            self._metrics.first_token.observe(now - self._started)
        self._said, self._last = True, now

    def end(self) -> None:
        self._metrics.whole.observe(self._metrics.clock() - self._started)


class _Now(Collector):
    def __init__(self, gauges: Gauges) -> None:
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        for name, value in self._gauges().items():
            kind = CounterMetricFamily if name == "num_preemptions" else GaugeMetricFamily
            yield kind(PREFIX + name, name.replace("_", " "), value)
