"""The native library: found, loaded, and asked which instruction sets it and this machine have."""

import ctypes
import functools
import logging
import os
from enum import IntEnum
from pathlib import Path

import torch

from anyres.errors import OptionError
from anyres.kernels.build import LIBRARY, SOURCES, source_hash

__all__ = ["TYPES", "Isa", "best_isa", "instruction_sets", "library", "native_with"]

logger = logging.getLogger(__name__)

TYPES = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2, torch.int8: 3}
"""As in native/api.h."""


class Isa(IntEnum):
    """Instruction sets that the library has kernels for, as in native/api.h."""

    SCALAR = 0
    AVX2 = 1
    AVX_VNNI = 2
    AVX512_VNNI = 3
    NEON_DOT = 4


class _StaleError(Exception):
    pass


@functools.cache
def library() -> ctypes.CDLL | None:
    """The native library, or None after one line in the log that says what is missing and what that costs."""
    try:
        loaded = _load(LIBRARY)
    except (OSError, _StaleError) as error:
        logger.warning(
            "no native kernels: %s; quantised models run on torch, several times slower. "
            "`python -m anyres.kernels.build` compiles them where there is a C++ compiler.",
            error,
        )
        return None
    return loaded


@functools.cache
def instruction_sets() -> tuple[Isa, ...]:
    """Those that both the library and this machine have, slowest first; empty without a library."""
    native = library()
    return () if native is None else tuple(isa for isa in Isa if native.anyres_has(isa))


@functools.cache
def best_isa() -> Isa | None:
    """The fastest instruction set here, or None where torch is faster: plain C++ is for tests.

    The environment variable ANYRES_ISA names another one, `avx2` for instance; OptionError where that is not to be had.
    """
    if named := os.environ.get("ANYRES_ISA"):
        return _named(named)
    fast = [isa for isa in instruction_sets() if isa != Isa.SCALAR]
    return fast[-1] if fast else None


def _named(name: str) -> Isa:
    for isa in instruction_sets():
        if isa.name == name.upper():
            return isa
    raise OptionError("ANYRES_ISA", name, _here())


def _here() -> str:
    return ", ".join(isa.name for isa in instruction_sets()) or "none here"


def native_with(isa: Isa) -> ctypes.CDLL:
    """The library, for a call that names `isa`. Raises OptionError where that is not to be had."""
    native = library()
    if native is None or isa not in instruction_sets():
        raise OptionError("isa", isa.name, _here())
    return native


def _load(file: Path) -> ctypes.CDLL:
    """Raises OSError where it cannot be loaded, _StaleError where its sources are not those that lie beside it."""
    if not file.exists():
        raise _StaleError("they have not been built")
    loaded = ctypes.CDLL(str(file))
    loaded.anyres_source.restype = ctypes.c_char_p
    if SOURCES.exists() and loaded.anyres_source().decode() != source_hash():
        raise _StaleError(f"{file.name} is not of the sources in {SOURCES}")
    loaded.anyres_linear.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int32)
    for name in ("anyres_rotate", "anyres_attention", "anyres_exact_attention", "anyres_paged_attention"):
        getattr(loaded, name).argtypes = (ctypes.c_void_p,)
    return loaded
