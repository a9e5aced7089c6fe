"""The commands of the recipe: `python -m recipes.tiny NAME ...`, and a list of them without a name."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

__all__ = ["COMMANDS", "listed", "main"]

COMMANDS: Mapping[str, str] = {
    "pack": "builds the packs of faces, texts, icons and tables; needs a network and tools of its own",
    "preview": "a contact sheet of all tasks at three difficulties, as a PNG",
    "speed": "samples and visual tokens a second of each task on one core",
    "course": "trains the embedded checkpoint, version 1; goes on from the newest save",
    "keep": "keeps what a run has learnt in a file that another run starts from",
    "curve": "draws the loss and what a run answers on held-out content, as a PNG",
    "real": "asks a checkpoint about real scans, photographs and clips, and writes the page of its answers",
    "examination": "measures a checkpoint on held-out content and writes its card",
    "questions": "writes the questions of a card as files, for anyres eval with any model",
}
"""Modules beside this one with `main(arguments)`, and what they do."""


def main(arguments: Sequence[str] | None = None) -> None:
    given = sys.argv[1:] if arguments is None else list(arguments)
    name, rest = (given[0], given[1:]) if given else ("", [])
    if name in ("", "-h", "--help"):
        print(listed())
        return
    if name not in COMMANDS:
        raise SystemExit(f"python -m recipes.tiny: no command {name!r}; allowed: {', '.join(COMMANDS)}")
    import_module(f"recipes.tiny.{name}").main(rest)


def listed() -> str:
    """The commands, a line each."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {words}" for name, words in COMMANDS.items()]
    return "\n".join(["python -m recipes.tiny NAME --help tells the options of", *lines])


if __name__ == "__main__":
    main()
