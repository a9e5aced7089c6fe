"""Builds the packs that the factory draws from: `python -m recipes.tiny.pack [--only fonts] [--out FOLDER]`.

Each part is a module `recipes/tiny/pack_PART.py` with `build(out)`; what it downloads and installs stands at its top.
"""

import argparse
import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from anyres.errors import OptionError
from recipes.tiny.assets import FOLDER
from recipes.tiny.packages import sha256_of

__all__ = ["MANIFEST", "MOST_BYTES", "PARTS", "build", "main", "manifest"]

PARTS = ("fonts", "words", "icons", "tables", "strokes")
MANIFEST, MOST_BYTES = "packs.json", 55_000_000
ENDINGS = (".xz", ".zip")


def build(parts: tuple[str, ...], out: Path) -> None:
    """Builds the parts into `out` and writes the manifest; OptionError when all packs together are too large."""
    out.mkdir(parents=True, exist_ok=True)
    for part in parts:
        module = f"recipes.tiny.pack_{part}"
        if find_spec(module) is None:
            raise OptionError("part", part, ", ".join(known for known in PARTS if known != part))
        import_module(module).build(out)
    packs = manifest(out)
    (out / MANIFEST).write_text(json.dumps(packs, indent=1) + "\n", encoding="utf-8")
    total = sum(int(str(pack["bytes"])) for pack in packs.values())
    if total > MOST_BYTES:
        raise OptionError(str(out), f"{total} bytes of packs", f"at most {MOST_BYTES}")


def manifest(out: Path) -> dict[str, dict[str, object]]:
    """Size and checksum of each pack in `out`, by its name."""
    return {
        path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for path in sorted(out.iterdir())
        if path.suffix in ENDINGS
    }


def main(arguments: list[str] | None = None) -> None:
    """Builds all parts, or one, and prints the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args(arguments)
    build((options.only,) if options.only else PARTS, options.out)
    for name, pack in manifest(options.out).items():
        print(name, pack["bytes"], pack["sha256"])


if __name__ == "__main__":
    main()
