"""Addresses, and which key goes where."""

import pytest

from anyres.client import Endpoint, RemoteChatModel, endpoint_from
from anyres.errors import OptionError


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://a/v1", "http://a/v1/chat/completions"),
        ("http://a/v1/", "http://a/v1/chat/completions"),
        ("http://a/v1/chat/completions", "http://a/v1/chat/completions"),
        ("https://a.example/compatible-mode/v1", "https://a.example/compatible-mode/v1/chat/completions"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1/chat/completions"),
    ],
)
def test_addresses(base: str, url: str) -> None:
    assert Endpoint(base).url("chat/completions") == url


@pytest.mark.parametrize(
    "base",
    [
        "",
        "a",
        "127.0.0.1:8000",
        "ftp://a",
        "file:///etc/passwd",
        "http://",
        "http://a b",
        "http://a\n/v1",
        "http://a:99999",
        "http://a/v1?key=1",
        "http://a/v1#x",
        "http://[::1",
        None,
        3,
    ],
)
def test_what_is_no_address(base: str) -> None:
    with pytest.raises(OptionError, match=r"base_url.*http://127\.0\.0\.1:8000/v1"):
        Endpoint(base)


def test_a_password_in_an_address_is_not_repeated() -> None:
    with pytest.raises(OptionError) as caught:
        Endpoint("https://me:hunter2@a.example/v1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "knobs",
    [
        {"connect_timeout_s": 0},
        {"read_timeout_s": float("nan")},
        {"retries": -1},
        {"retries": 1.5},
        {"retries": True},
        {"headers": {"Authorization": "x"}},
        {"headers": {"a b": "x"}},
        {"headers": {"a": "x\r\ny: z"}},
    ],
)
def test_bad_knobs(knobs: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Endpoint("http://a", **knobs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("base", "local"),
    [
        ("http://localhost", True),
        ("http://127.0.0.9:1", True),
        ("http://[::1]", True),
        ("http://x.localhost", True),
        ("http://10.0.0.1", False),
        ("https://localhost.example", False),
    ],
)
def test_proxies_stand_before_other_machines_only(base: str, local: bool) -> None:
    assert Endpoint(base).is_local is local


OURS = {"ANYRES_BASE_URL": "http://a:1/v1", "ANYRES_API_KEY": "ours"}
OPENAI = {"OPENAI_API_KEY": "theirs"}


@pytest.mark.parametrize(
    ("base", "environ", "key"),
    [
        (None, OURS, "ours"),
        ("http://a:1/v1", OURS, "ours"),
        ("http://a:2/v1", OURS, None),
        ("https://a:1/v1", OURS, None),
        ("http://b/v1", OURS, None),
        ("http://b/v1", {"ANYRES_API_KEY": "ours"}, "ours"),
        ("http://b/v1", OPENAI, None),
        ("https://api.openai.com/v1", OPENAI, "theirs"),
        ("https://api.openai.com.evil.example/v1", OPENAI, None),
        ("http://b/v1", {**OPENAI, "OPENAI_BASE_URL": "http://b/v1"}, "theirs"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", {"DASHSCOPE_API_KEY": "d"}, "d"),
        ("https://dashscope.evil.example/v1", {"DASHSCOPE_API_KEY": "d"}, None),
        (None, {**OURS, "ANYRES_API_KEY": ""}, None),
    ],
)
def test_a_key_goes_only_where_it_belongs(base: str | None, environ: dict[str, str], key: str | None) -> None:
    endpoint = endpoint_from(base, None, environ)
    assert endpoint is not None
    assert endpoint.api_key == key


def test_a_key_that_is_given_goes_where_it_is_told() -> None:
    endpoint = endpoint_from("http://b/v1", "mine", OURS)
    assert endpoint is not None
    assert endpoint.api_key == "mine"


def test_openais_variables_alone_send_nothing_anywhere() -> None:
    assert endpoint_from(None, "k", {**OPENAI, "OPENAI_BASE_URL": "http://b/v1"}) is None


def test_a_model_without_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANYRES_BASE_URL", raising=False)
    with pytest.raises(OptionError, match="ANYRES_BASE_URL"):
        RemoteChatModel()
    monkeypatch.setenv("ANYRES_BASE_URL", "http://a:1/v1")
    assert RemoteChatModel(api_key="k").endpoint.base_url == "http://a:1/v1"
    with pytest.raises(OptionError, match="dialect: 'klingon'"):
        RemoteChatModel(dialect="klingon")
