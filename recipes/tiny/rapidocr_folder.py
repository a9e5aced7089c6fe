"""Reads the pictures of a folder with rapidocr: `python rapidocr_folder.py FOLDER` prints JSON, file name -> text.

It stands alone, for an environment that has rapidocr and not anyres.
"""

import json
import logging
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = ["in_rows", "main"]


def main(folder: str) -> None:
    """Prints one line; the log goes to stderr."""
    logging.disable(logging.INFO)
    engine = import_module("rapidocr").RapidOCR()
    told = {path.name: in_rows(engine(str(path))) for path in sorted(Path(folder).glob("*.png"))}
    sys.stdout.write("\n" + json.dumps(told) + "\n")


def in_rows(found: Any) -> str:
    """The texts from top to bottom; those of one height in one line, from left to right."""
    texts, boxes = found.txts or (), found.boxes
    if not texts or boxes is None:
        return "\n".join(texts)
    placed = sorted(zip(boxes, texts, strict=True), key=lambda pair: float(pair[0][:, 1].mean()))
    rows: list[list[tuple[float, str]]] = []
    bottom = float("-inf")
    for box, text in placed:
        middle = float(box[:, 1].mean())
        if middle > bottom:
            rows.append([])
            bottom = float(box[:, 1].max())
        rows[-1].append((float(box[:, 0].min()), text))
    return "\n".join(" ".join(text for _, text in sorted(row)) for row in rows)


if __name__ == "__main__":
    main(sys.argv[1])
