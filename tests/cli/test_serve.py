"""The line that `anyres serve` prints, as a shell reads it."""

import json
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from anyres.cli.serve import _tell
from anyres.server.settings import ServerSettings

needs_shell = pytest.mark.skipif(shutil.which("sh") is None, reason="no sh")


@needs_shell
@pytest.mark.parametrize("keys", [(), ("s3cret", "other")])
def test_the_line_that_is_printed_can_be_pasted(keys: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    """With keys it sends the one of ANYRES_API_KEY, and writes none of them."""
    _tell(SimpleNamespace(names=["tiny"], settings=ServerSettings(api_keys=keys)), "http://127.0.0.1:9")  # type: ignore[arg-type]
    printed = capsys.readouterr().err.split("\n", 1)[1]
    assert not any(key in printed for key in keys)
    script = "curl() { printf '%s\\n' \"$@\"; }\n" + printed
    ran = subprocess.run(
        ["sh", "-c", script], env={"ANYRES_API_KEY": "s3cret"}, capture_output=True, text=True, check=True
    )
    address, *options = ran.stdout.splitlines()
    headers = [value for name, value in zip(options[::2], options[1::2], strict=True) if name == "-H"]
    assert address == "http://127.0.0.1:9/v1/chat/completions"
    assert headers == ["Authorization: Bearer s3cret"] * bool(keys) + ["Content-Type: application/json"]
    assert json.loads(options[-1]) == {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}
