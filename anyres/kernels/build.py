"""Compiles the native kernels: `python -m anyres.kernels.build`. The wheel and `pip install -e .` call it too.

Each file is compiled for its own instruction set, and the library picks one when it runs. There is no Python in it, so
one library serves every Python version of a platform.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

__all__ = ["LIBRARY", "SOURCES", "BuildError", "build", "compiler", "main", "source_hash"]

SOURCES = Path(__file__).parent / "native"
LIBRARY = Path(__file__).parent / ("_native.dll" if os.name == "nt" else "_native.so")
COMMON_FLAGS = (
    "-std=c++17",
    "-O3",
    "-fPIC",
    "-fvisibility=hidden",
    "-ffp-contract=off",  # fused only where the source says so: every processor gets the same bits
    "-fno-math-errno",
    "-fno-trapping-math",
)
ISA_FLAGS = {
    ("x86_64", "isa_avx2"): ("-mavx2", "-mfma", "-mf16c"),
    ("x86_64", "isa_avx_vnni"): ("-mavx2", "-mfma", "-mf16c", "-mavxvnni"),
    ("x86_64", "isa_avx512"): ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512vnni", "-mfma", "-mf16c"),
    ("aarch64", "isa_neon"): ("-march=armv8.2-a+dotprod",),
}
SAME_MACHINE = {"amd64": "x86_64", "arm64": "aarch64"}


class BuildError(Exception):
    """The kernels could not be built; the text says why in one line."""


def source_hash() -> str:
    """Names the state of the sources; it is compiled in, so that an older library is recognised."""
    digest = hashlib.sha256()
    for file in sorted(SOURCES.iterdir()):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def compiler() -> str:
    """The C++ compiler to use: $CXX, or the first of c++, g++ and clang++ there is. Raises BuildError."""
    if named := os.environ.get("CXX"):
        return named
    for name in ("c++", "g++", "clang++"):
        if found := shutil.which(name):
            return found
    raise BuildError("no C++ compiler found (c++, g++, clang++ or $CXX)")


def build(library: Path = LIBRARY, extra_flags: Sequence[str] = ()) -> list[str]:
    """Compiles the library, which is replaced only when all went well. Raises BuildError.

    Returns a line for each instruction set that the compiler is too old for; the library does without it.
    """
    command = compiler()
    with tempfile.TemporaryDirectory() as folder:
        objects = [Path(folder) / f"{source.stem}.o" for source in _sources()]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            jobs = zip(_sources(), objects, strict=True)
            failures = list(pool.map(lambda job: _compile(command, job[0], job[1], extra_flags), jobs))
        linked = Path(folder) / library.name
        _run([command, "-shared", "-o", str(linked), *map(str, objects), "-pthread", *extra_flags])
        _replace(linked, library)
    return [failure for failure in failures if failure]


def main() -> int:
    """Builds; exit code 1 and one line where it cannot."""
    try:
        for failure in build():
            print(f"anyres: left out: {failure}", file=sys.stderr)
        print(f"{LIBRARY} built with {compiler()}")
    except BuildError as error:
        print(f"anyres: no native kernels: {error}", file=sys.stderr)
        return 1
    return 0


def _sources() -> list[Path]:
    return sorted(SOURCES.glob("*.cpp"))


def _compile(command: str, source: Path, target: Path, extra_flags: Sequence[str]) -> str | None:
    """Why the file's instruction set had to be left out, if it had to be."""
    machine = platform.machine().lower()
    isa_flags = ISA_FLAGS.get((SAME_MACHINE.get(machine, machine), source.stem), ())
    plain = [command, *COMMON_FLAGS, f'-DANYRES_SOURCE="{source_hash()}"', *extra_flags, "-c", str(source)]
    try:
        _run([*plain, *isa_flags, "-o", str(target)])
    except BuildError as error:
        if not isa_flags:
            raise
        _run([*plain, "-o", str(target)])  # without its instruction set the file says that it is not there
        return f"{source.stem}: {error}"
    return None


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the user's compiler
    except OSError as error:
        raise BuildError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or [f"exit code {done.returncode}"]
        raise BuildError(f"{command[0]}: {lines[0]}")


def _replace(linked: Path, library: Path) -> None:
    """In one step: a process that has the old library mapped keeps it whole."""
    fresh = library.with_name(f"{library.name}.{os.getpid()}")
    try:
        shutil.copyfile(linked, fresh)
        fresh.replace(library)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise BuildError(f"{library}: {error.strerror}") from error


if __name__ == "__main__":
    sys.exit(main())
