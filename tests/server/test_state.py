"""What a server says of itself: models, health, metrics that add up, logs without secrets."""

import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from anyres.engine.engine import LocalChatModel
from anyres.engine.load import load
from anyres.server.logs import JsonLines
from tests.server.serving import Running, begun, eventually, image_part, picture, serving
from tests.server.test_leaving import LONG, at_work

ASK = [image_part(picture("count me")), {"type": "text", "text": "Read it."}]


def metrics(running: Running) -> dict[str, float]:
    """Every sample by its name, with its labels' values behind it."""
    reply = running.client.get("/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    found = {}
    for family in text_string_to_metric_families(reply.text):
        for sample in family.samples:
            labels = [value for name, value in sample.labels.items() if name != "le"]
            if "le" not in sample.labels:
                found[":".join([sample.name.removeprefix("anyres:"), *labels])] = sample.value
    return found


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


def test_models(server: Running, model: LocalChatModel) -> None:
    (card,) = server.client.get("/v1/models").json()["data"]
    assert card["id"] == "tiny"
    assert card["max_model_len"] == model.config.text.max_position_embeddings
    assert card["architecture"]["input_modalities"] == ["text", "image", "video"]
    assert server.client.get("/v1/models/tiny").json() == card
    assert server.client.get("/v1/models/other").status_code == 404


def test_further_names(model: LocalChatModel, tmp_path: Path) -> None:
    with serving(model, tmp_path, names=("Qwen/Qwen2-VL-2B-Instruct", "gpt-4o")) as running:
        assert [one["id"] for one in running.client.get("/v1/models").json()["data"]] == [
            "tiny",
            "Qwen/Qwen2-VL-2B-Instruct",
            "gpt-4o",
        ]
        assert running.client.get("/v1/models/Qwen/Qwen2-VL-2B-Instruct").json()["id"] == "Qwen/Qwen2-VL-2B-Instruct"
        assert running.chat("Hi", model="gpt-4o").json()["model"] == "gpt-4o"


def test_versions(server: Running) -> None:
    version = server.client.get("/version").json()["version"]
    assert server.client.get("/openapi.json").json()["info"]["version"] == version


def test_metrics_add_up(server: Running) -> None:
    before = metrics(server)
    replies = [server.chat(ASK, n=2, seed=1).json() for _ in range(2)]
    usages = [reply["usage"] for reply in replies]
    said = grown(before, metrics(server))
    assert said["prompt_tokens_total"] == sum(2 * one["prompt_tokens"] for one in usages)
    assert said["generation_tokens_total"] == sum(one["completion_tokens"] for one in usages)
    assert sum(value for name, value in said.items() if name.startswith("request_success_total")) == 4
    assert said["prefix_cache_queries_total"] == said["prompt_tokens_total"]
    assert 0 < said["prefix_cache_hits_total"] < said["prompt_tokens_total"]
    assert said["mm_cache_queries_total"] == 4 * 12
    assert said["e2e_request_latency_seconds_count"] == 2
    assert said["time_to_first_token_seconds_count"] == 2
    assert said["request_queue_time_seconds_count"] == 4
    assert said["media_fetch_seconds_count"] == 2


def test_a_picture_that_was_seen_is_counted(server: Running) -> None:
    """Behind other words it is not in the prefix cache, but in the one of pictures."""
    server.chat([{"type": "text", "text": "First."}, ASK[0]])
    before = metrics(server)
    server.chat([{"type": "text", "text": "Then."}, ASK[0]])
    said = grown(before, metrics(server))
    assert said["mm_cache_queries_total"] == said["mm_cache_hits_total"] == 12


def test_gauges_show_what_is_now(server: Running) -> None:
    now = metrics(server)
    assert now["num_requests_running"] == now["num_requests_waiting"] == 0
    assert 0 <= now["kv_cache_bytes"] <= now["kv_cache_cap_bytes"]
    assert 0 <= now["kv_cache_usage_perc"] <= 1
    assert 0 < now["vision_cache_bytes"] <= now["vision_cache_cap_bytes"]
    assert 0 <= now["media_cache_bytes"] <= now["media_cache_cap_bytes"]
    connection = begun(server.port, LONG)
    eventually(lambda: at_work(server))
    assert metrics(server)["num_requests_running"] == 1
    connection.close()
    eventually(server.idle)
    assert metrics(server)["num_requests_running"] == 0


def test_refusals_and_leaving_are_counted(server: Running) -> None:
    before = metrics(server)
    server.chat([image_part("data:image/png;base64,AAAA")])
    connection = begun(server.port, LONG)
    eventually(lambda: at_work(server))
    connection.close()
    eventually(server.idle)
    said = grown(before, metrics(server))
    assert said["media_rejected_total:unsupported_image_media_type"] == 1
    assert said["aborted_total:ApiError"] == 1
    assert said["aborted_total:disconnect"] == 1
    assert not [name for name in said if name.startswith("request_success_total")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_health_tells_of_an_engine_that_gave_up(tmp_path: Path) -> None:
    own = load("tiny", dtype="float32")
    with serving(own, tmp_path) as running:
        assert running.anyone.get("/health").status_code == 200
        engine = own._loop.engine
        whole, engine.step = engine.step, lambda: sys.exit(1)  # type: ignore[method-assign]  # no Exception
        connection = begun(running.port, LONG)
        eventually(lambda: running.anyone.get("/health").status_code == 503)
        assert running.anyone.get("/health").json()["error"]["code"] == "engine_dead"
        connection.close()
        engine.step = whole  # type: ignore[method-assign]
    own.close()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Lines of the server's log."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("anyres.server")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


SECRETS = ("the-secret-key", "my private words", "iVBORw0KGgo", "token=hidden", "salt-of-mine", "a_user_name")


def test_logs_hold_no_secrets(model: LocalChatModel, tmp_path: Path, log: io.StringIO) -> None:
    with serving(model, tmp_path, api_keys=("the-secret-key",)) as running:
        asked = [image_part(picture()), {"type": "text", "text": "my private words"}]
        fields = {"cache_salt": "salt-of-mine", "user": "a_user_name"}
        ids = {running.chat(asked, **fields).headers["x-request-id"], running.chat(asked, n=77).headers["x-request-id"]}
        running.client.get("/v1/models?token=hidden")
        running.anyone.get("/v1/models", headers={"authorization": "Bearer the-secret-key-misspelt"})
        running.client.post("/v1/files", files={"file": ("my private words", b"my private words")})
        eventually(lambda: len(lines(log)) >= 5)
    found = lines(log)
    assert not [word for word in SECRETS if word in log.getvalue()]
    assert {line["status"] for line in found} == {200, 400, 401}
    assert ids <= {line["id"] for line in found}
    for line in found:
        assert set(line) == {"time", "level", "logger", "event", "id", "method", "path", "status", "ms", "in", "out"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])


def test_a_log_line_is_one_line_whatever_is_asked(server: Running, log: io.StringIO) -> None:
    """T25."""
    for path in ("/%1b[2Jx", "/a%0d%0aX-Injected:%201", "/%00", "/%e2%80%ae"):
        server.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    eventually(lambda: len(lines(log)) >= 4)
    assert all(32 <= ord(letter) < 127 or letter == "\n" for letter in log.getvalue())
    assert len(log.getvalue().splitlines()) == len(lines(log)) == 4


def test_an_error_of_ours_is_logged_with_its_place_and_not_told(
    model: LocalChatModel, tmp_path: Path, log: io.StringIO
) -> None:
    with serving(model, tmp_path) as running:
        running.service.loaded = object()  # type: ignore[assignment]
        reply = running.client.get("/v1/models")
        running.service.loaded = model
    assert reply.status_code == 500
    assert "AttributeError" not in reply.text
    assert "object" not in reply.text
    (error,) = [line for line in lines(log) if line["level"] == "error"]
    assert error["error"] == "AttributeError"
    assert error["id"] == reply.headers["x-request-id"]
    assert any(place.startswith("service.py:") for place in error["trace"])
