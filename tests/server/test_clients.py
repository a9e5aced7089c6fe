"""curl, LangChain's ChatOpenAI and simonw's llm, unchanged; schemathesis over our own OpenAPI document.

The last three want an environment of their own: that of ANYRES_CLIENTS, or one that is made with pip.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anyres.engine.engine import LocalChatModel
from tests.server.serving import Running, chunks_of, image_part, picture, serving

PACKAGES = ("langchain-openai==1.7.4", "llm==0.36", "schemathesis==4.32.5")
URL = picture()
ASK: list[dict[str, Any]] = [image_part(URL), {"type": "text", "text": "Read it."}]


@pytest.fixture(scope="session")
def clients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of their programs."""
    if given := os.environ.get("ANYRES_CLIENTS"):
        return Path(given) / "bin"
    folder = tmp_path_factory.mktemp("clients")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    made = subprocess.run([folder / "bin" / "pip", "install", "-q", *PACKAGES], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no environment for the clients: {made.stderr[-200:]}")
    return folder / "bin"


def run(*command: object, env: dict[str, str] | None = None, stdin: bytes = b"", cwd: Path | None = None) -> str:
    words = [str(one) for one in command]
    made = subprocess.run(words, input=stdin, capture_output=True, env=env, cwd=cwd, timeout=1500)
    assert made.returncode == 0, (made.stdout[-2000:], made.stderr[-2000:])
    return made.stdout.decode()


needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")


@needs_curl
def test_curl(server: Running, tmp_path: Path) -> None:
    """A question, a stream, a picture from a file, an upload: as docs and terminals do it."""
    headers = ("-H", "Content-Type: application/json")
    body = {"messages": [{"role": "user", "content": ASK}], "max_tokens": 12, "temperature": 0}
    whole = server.say(ASK, temperature=0, max_tokens=12)
    address = f"{server.url}/v1/chat/completions"
    reply = json.loads(run("curl", "-sf", address, *headers, "-d", json.dumps(body)))
    assert reply["choices"][0]["message"]["content"] == whole
    streamed = run("curl", "-sfN", address, *headers, "-d", json.dumps({**body, "stream": True}))
    said = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks_of(streamed))
    assert said == whole
    file = tmp_path / "a.png"
    file.write_bytes(base64.b64decode(URL.partition(",")[2]))
    made = json.loads(run("curl", "-sf", f"{server.url}/v1/files", "-F", "purpose=vision", "-F", f"file=@{file}"))
    body["messages"] = [{"role": "user", "content": [image_part(made["id"]), ASK[1]]}]
    reply = json.loads(run("curl", "-sf", address, *headers, "-d", "@-", stdin=json.dumps(body).encode()))
    assert reply["choices"][0]["message"]["content"] == whole
    server.client.delete(f"/v1/files/{made['id']}")


@needs_curl
def test_curl_waits_for_a_word_before_it_sends_much(server: Running) -> None:
    """Expect: 100-continue."""
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2, "metadata": {"a": "x" * 2_000_000}}
    address = f"{server.url}/v1/chat/completions"
    told = run("curl", "-si", address, "-H", "Content-Type: application/json", "-H", "Expect: 100-continue", "-d", "@-",
               stdin=json.dumps(body).encode())  # fmt: skip
    assert told.startswith("HTTP/1.1 100")
    assert "HTTP/1.1 200" in told
    refused = run("curl", "-si", address, "-H", "Content-Type: text/plain", "-H", "Expect: 100-continue", "-d", "@-",
                  stdin=json.dumps(body).encode())  # fmt: skip
    assert refused.startswith("HTTP/1.1 415")


@pytest.mark.slow
def test_langchain(server: Running, clients: Path) -> None:
    whole = server.say(ASK, temperature=0, max_tokens=12)
    told = json.loads(run(clients / "python", Path(__file__).parent / "clients/ask_langchain.py", server.url, URL))
    assert told["invoke"] == told["standard image block"] == told["stream"] == told["async"] == whole
    assert told["batch"] == [whole, whole]
    assert told["responses"] == whole
    assert set(told["structured"]) == {"total", "shop"}
    assert told["tools"] == told["streamed tools"] == [["a", "b"]]
    assert told["system"]
    assert told["tool result"]
    assert told["embeddings"] == [server.service.model.config.text.hidden_size] * 2


@pytest.mark.slow
def test_llm(server: Running, clients: Path, tmp_path: Path) -> None:
    """Its way to another server of OpenAI's API: extra-openai-models.yaml."""
    home = tmp_path / "llm"
    home.mkdir()
    (home / "extra-openai-models.yaml").write_text(
        f"- model_id: ours\n  model_name: tiny\n  api_base: {server.url}/v1\n  vision: true\n"
        "  supports_schema: true\n  supports_tools: true\n"
    )
    file = tmp_path / "a.png"
    file.write_bytes(base64.b64decode(URL.partition(",")[2]))
    env = {**os.environ, "LLM_USER_PATH": str(home), "OPENAI_API_KEY": "none"}
    options = ("-o", "temperature", "0", "-o", "max_tokens", "12")
    llm = clients / "llm"
    said = run(llm, "-m", "ours", "Read it.", "-a", file, *options, env=env)
    whole = run(llm, "-m", "ours", "Read it.", "-a", file, "--no-stream", *options, env=env)
    assert said == whole
    asked = [{"type": "text", "text": "Read it."}, image_part(URL)]
    assert whole.rstrip("\n") == server.say(asked, temperature=0, max_tokens=12).rstrip("\n")
    assert run(llm, "-c", "And?", *options, env=env) is not None
    schema = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"],
              "additionalProperties": False}  # fmt: skip
    made = run(llm, "-m", "ours", "Read it.", "-a", file, "--schema", json.dumps(schema), env=env)
    assert set(json.loads(made)) == {"total"}
    assert run(llm, "-m", "ours", "Hi", "-s", "Be short.", *options, env=env) is not None


@pytest.mark.slow
def test_schemathesis(model: LocalChatModel, clients: Path, tmp_path: Path) -> None:
    """Whatever it makes of the document: no server error, and no answer that the document does not allow."""
    document = tmp_path / "openapi.json"
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    with serving(model, tmp_path, total_s=5) as running:
        document.write_bytes(running.client.get("/openapi.json").content)
        told = run(
            clients / "schemathesis", "run", document, "--url", running.url, "--checks", checks,
            "--max-examples", "20", "--phases", "coverage,fuzzing", "--request-timeout", "60",
            "--generation-deterministic", cwd=tmp_path,
        )  # fmt: skip
    print(told[-1500:])
