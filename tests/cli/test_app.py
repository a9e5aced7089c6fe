"""The app as a whole: help, version, start-up, exit codes."""

import subprocess
import sys

import pytest

from anyres.cli import app as app_module
from tests.cli.conftest import Run

COMMANDS = ("ask", "find", "inspect", "verify", "pull", "models", "card", "cache", "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_examples(command: str, run: Run) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Examples:" in result.stdout
    assert f"    anyres {command}" in result.stdout
    assert result.stderr == ""


def test_help_lists_the_commands_and_completion(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    for word in (*COMMANDS, "--install-completion", "--version", "    anyres ask receipt.jpg"):
        assert word in result.stdout


def test_without_a_command_it_shows_help(run: Run) -> None:
    result = run()
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_usage_tells_pictures_from_question(run: Run) -> None:
    assert "ask [OPTIONS] [IMAGE]... QUESTION" in run("ask", "--help").stdout


def test_version(run: Run) -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("anyres ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--bogus",), "No such option: --bogus"),
        (("bogus",), "No such command 'bogus'"),
        (("ask",), "Missing argument"),
        (("ask", "hi", "--fps", "fast"), "--fps"),
        (("ask", "hi", "--bogus"), "No such option"),
        (("inspect", "a.png", "--draw"), "--draw"),
        (("verify", "a", "b"), "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], words: str, run: Run) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("anyres: ")
    assert result.stderr.count("\n") == 1
    assert words in result.stderr


def test_wrong_usage_does_not_obey_what_it_repeats(run: Run) -> None:
    for arguments in (("ask", "hi", "--\x1b[2J"), ("\x1b[2J",), ("--\x1b[2J",), ("ask", "hi", "--fps", "\x1b[2J\n\r")):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "\x1b" not in result.stderr
        assert result.stderr.count("\n") == 1


def test_help_needs_neither_torch_nor_the_model() -> None:
    code = (
        "import sys\n"
        "from anyres.cli import main\n"
        "sys.argv = ['anyres', 'ask', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0, end.code\n"
        "heavy = {'torch', 'numpy', 'tokenizers', 'huggingface_hub', 'PIL', 'av'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "Examples:" in done.stdout


def test_completion_of_commands_for_bash() -> None:
    environment = {
        "_ANYRES_COMPLETE": "complete_bash",
        "COMP_WORDS": "anyres ins",
        "COMP_CWORD": "1",
        "PATH": "/usr/bin",
    }
    code = "import sys; sys.argv = ['anyres']; from anyres.cli.app import app; app(prog_name='anyres')"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.strip() == "inspect", done.stderr


def test_version_of_a_source_tree(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise app_module.PackageNotFoundError(name)

    monkeypatch.setattr(app_module, "version", missing)
    assert "source tree" in run("--version").stdout


def test_a_bug_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("anyres.model.hub.list_models", broken)
    result = run("models")
    assert isinstance(result.exception, ZeroDivisionError)
