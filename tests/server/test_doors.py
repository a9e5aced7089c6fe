"""Rule 1: bytes of requests are opened in one place. Read from the source, so that a second door cannot come unseen."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import anyres

ROOT = Path(anyres.__file__).parent
SERVER = ROOT / "server"

DECODERS = {"av", "PIL", "pypdfium2", "pypdfium2.raw"}
NETWORK = {"httpx", "requests", "urllib.request", "http.client", "aiohttp", "socket", "ssl"}
CODE = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
ALLOWED = {
    "PIL": {"decoder_child.py", "opening.py", "preview_api.py"},  # opening and preview_api: arrays into pictures
    "socket": {"access.py", "fetch.py", "run.py"},
    "ssl": {"fetch.py"},
}


def sources(folder: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(folder.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def imports(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return found


def calls(tree: ast.Module) -> set[str]:
    """Called names as they are written."""
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@pytest.mark.parametrize("name", sorted(DECODERS | NETWORK))
def test_who_decodes_and_who_dials(name: str) -> None:
    found = {path.name for path, tree in sources(SERVER) if name in imports(tree)}
    assert found <= ALLOWED.get(name, set())


def test_pictures_are_opened_by_the_library_in_the_process_that_decodes() -> None:
    names = {"Image.open", "open_picture", "open_container", "open_document", "open_animation", "av.open"}
    users = {path.name for path, tree in sources(SERVER) if calls(tree) & names}
    assert users == {"decoder_child.py"}


def test_who_touches_files() -> None:
    names = {"open", "os.open", "os.fdopen"}
    touching = {path.name for path, tree in sources(SERVER) if calls(tree) & names}
    assert touching == {"sources.py", "uploads.py"}


def test_who_starts_processes() -> None:
    found = {path.name for path, tree in sources(SERVER) if "subprocess" in imports(tree)}
    assert found == {"decoder.py"}


def test_nothing_loads_code() -> None:
    """T15, T36: in whatever a server runs. (Training reads states of optimizers, with weights_only.)"""
    rooms = ("server", "engine", "model", "processing", "quant", "kernels", "client")
    for path, tree in (one for room in rooms for one in sources(ROOT / room)):
        assert not imports(tree) & CODE, path
        bad = {"torch.load", "np.load", "numpy.load", "eval", "exec", "compile", "__import__"}
        found = calls(tree) & bad
        if "np.load" in found:  # of our own files only, and never objects
            text = path.read_text()
            assert text.count("np.load(") == text.count("allow_pickle=False"), path
            found.discard("np.load")
        assert not found, (path, found)


def test_the_wire_to_the_decoders_is_no_pickle() -> None:
    """T42."""
    (wire,) = [tree for path, tree in sources(SERVER) if path.name == "decoder_wire.py"]
    assert {name.partition(".")[0] for name in imports(wire)} <= {
        "json",
        "struct",
        "typing",
        "collections",
        "numpy",
        "io",
    }
