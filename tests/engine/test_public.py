"""`import anyres` is light, and its public names are there."""

import subprocess
import sys

import pytest

import anyres


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, anyres; print({'torch', 'PIL', 'numpy', 'av', 'tokenizers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", anyres.__all__)
def test_each_public_name_is_found(name: str) -> None:
    assert getattr(anyres, name).__name__ == name
    assert name in dir(anyres)


def test_names_are_sorted_and_others_are_refused() -> None:
    assert anyres.__all__ == sorted(anyres.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        anyres.no_such_name  # noqa: B018


def test_every_error_is_public() -> None:
    from anyres import errors

    assert set(errors.__all__) <= set(anyres.__all__)
