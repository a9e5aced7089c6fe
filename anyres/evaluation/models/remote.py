"""A model behind an endpoint: asked by several threads, and again where that can help, as long as the budget lasts."""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from anyres.chat import Answer, ImagePart, Message, TextPart
from anyres.client import Endpoint, RemoteChatModel, endpoint_from
from anyres.client.wire import Patience
from anyres.errors import AnyresError, EndpointError, OptionError
from anyres.evaluation.models.query import Query, Told
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.sample import Coordinates

__all__ = ["RemoteModel", "RetryBudget", "spelled"]

AT_ONCE = 8
PAUSE_S = 1.0  # after silence


class RetryBudget:
    """How many questions of a run may be put once more; any thread may spend."""

    def __init__(self, total: int) -> None:
        self.left = total
        self._lock = threading.Lock()

    def spend(self) -> bool:
        """Whether there was one left."""
        with self._lock:
            self.left -= self.left > 0
            return self.left > 0


class RemoteModel:
    """Nothing is sent before the first question, unless the endpoint has to say what its model is called.

    A question is put `tries` times at most: after a time-out, a refused connection, 408, 409, 429 and 5xx, with the
    pauses of OpenAI's own clients. Once the budget is spent each is put once, so that a dead endpoint holds up no run.
    """

    coordinates: Coordinates

    def __init__(self, spec: ModelSpec, *, sleep: Callable[[float], None] = time.sleep) -> None:
        endpoint = endpoint_from(spec.source, None, os.environ)
        if endpoint is None:
            raise OptionError("--model", repr(spec.source), "the address of an endpoint")
        self._spec = spec
        self._here = threading.local()
        self._budget = RetryBudget(spec.retry_budget)
        self._sleep = sleep
        patient = replace(endpoint, read_timeout_s=spec.timeout_s, retries=spec.tries - 1)
        self._patient = self._client(patient)
        self._curt = self._client(replace(patient, retries=0))
        self.coordinates = spec.coordinates
        self.at_once = spec.at_once or AT_ONCE

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def identity(self) -> str:
        """Its address and name: what stands behind them may change, and only its owner knows."""
        return f"{self._spec.source} {self._spec.remote_name or self._patient.name}"

    @property
    def versions(self) -> Mapping[str, str]:
        return {}

    def rendered(self, messages: Sequence[Message]) -> str:
        """The messages as JSON; what the endpoint's template makes of them is not known here."""
        return spelled(messages)

    def ask(self, query: Query) -> Told:
        self._here.repeats = 0
        started = time.perf_counter()
        model = self._patient if self._budget.left else self._curt
        try:
            answer = self._asked(model, query)
        except AnyresError as error:
            words = f"{type(error).__name__}: {error}"
            return Told(None, words, (), time.perf_counter() - started, self._here.repeats + 1)
        return Told(answer, "", (), time.perf_counter() - started, self._here.repeats + 1)

    def _asked(self, model: RemoteChatModel, query: Query) -> Answer:
        """The client does not repeat what may still be worked on, as after silence; here nobody but us waits for it."""
        while True:
            try:
                return model.chat(query.messages, options=query.options)
            except EndpointError as error:
                spent = self._here.repeats + 1 >= self._spec.tries or not self._budget.left
                if error.status is not None or spent:
                    raise
            self._pause(PAUSE_S)
            model = self._curt

    def close(self) -> None:
        self._patient.close()
        self._curt.close()

    def _client(self, endpoint: Endpoint) -> RemoteChatModel:
        patience = Patience(sleep=self._pause)
        return RemoteChatModel(endpoint, model=self._spec.remote_name, patience=patience)

    def _pause(self, seconds: float) -> None:
        """Before a question is put again."""
        self._here.repeats = getattr(self._here, "repeats", 0) + 1
        self._budget.spend()
        self._sleep(seconds)


def spelled(messages: Sequence[Message]) -> str:
    """Messages as JSON in OpenAI's form, pictures and clips by their kind only.

    >>> spelled([Message("user", "hello")])
    '[{"role": "user", "content": [{"type": "text", "text": "hello"}]}]'
    """
    return json.dumps(
        [
            {
                "role": message.role,
                "content": [
                    {"type": "text", "text": part.text}
                    if isinstance(part, TextPart)
                    else {"type": "image" if isinstance(part, ImagePart) else "video"}
                    for part in message.parts
                ],
            }
            for message in messages
        ],
        ensure_ascii=False,
    )
