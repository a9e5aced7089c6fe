"""Texts on which a quantised checkpoint is measured: questions about pictures, and the source's own answers."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path

from anyres.chat import GenerationOptions, ImagePart, Message, TextPart
from anyres.engine.engine import LocalChatModel
from anyres.quant.card import MAX_POSITIONS, Probe

__all__ = ["default_pictures", "make_probes", "pictures_in"]

QUESTIONS = ("What does the picture say?", "Describe the picture.")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")


def make_probes(
    model: LocalChatModel, pictures: Sequence[Path], *, step: Callable[[int, int], None] | None = None
) -> list[Probe]:
    """Every question about every picture, answered greedily. `step` is told how many are done, of how many."""
    options = GenerationOptions(max_tokens=MAX_POSITIONS, temperature=0.0)
    asked = [Message("user", (ImagePart(path), TextPart(words))) for path in pictures for words in QUESTIONS]
    probes = []
    for number, question in enumerate(asked):
        if step is not None:
            step(number, len(asked))
        told = Message("assistant", (TextPart(model.chat([question], options=options).text),))
        start = len(model.processor.prepare([question]).token_ids_T)
        probes.append(Probe(model.processor.prepare([question, told], add_generation_prompt=False), start))
    return probes


def default_pictures() -> list[Path]:
    """Lines of print and photographs that come with anyres."""
    return pictures_in(Path(str(files("anyres.quant").joinpath("pictures"))))


def pictures_in(path: Path) -> list[Path]:
    """The file itself, or all pictures of a folder."""
    if not path.is_dir():
        return [path]
    return sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES)
