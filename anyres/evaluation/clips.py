"""Questions with options about clips: where the clip is, how it is asked, which subtitles its frames show."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from anyres.chat import Message, TextPart, VideoPart
from anyres.evaluation.benchmark import Settings
from anyres.evaluation.data.rows import Row
from anyres.evaluation.sample import LETTERS, Sample
from anyres.processing.media import open_video
from anyres.processing.video import frame_indices, frame_range, smart_nframes

__all__ = ["CLIPS", "Subtitle", "clip_file", "clip_prompt", "frame_times", "read_srt", "shown"]

CLIPS = Settings(max_tokens=2048, fps=2.0, max_frames=768)
"""The paper's: two frames a second, 768 at most."""
ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".gif")
FOLDERS = ("", "video", "videos", "data")
TIME = r"(\d+):(\d+):(\d+)[,.](\d+)"
BLOCK = re.compile(rf"{TIME}\s*-->\s*{TIME}[^\n]*\n(.*?)(?=\n\s*\n|\Z)", re.DOTALL)
MARKUP = re.compile(r"<[^>]+>|\{\\[^}]*\}")
ASK = (
    "These are the frames of a video. Select the best answer to the following multiple-choice question based on the "
    "video. Respond with only the letter ({letters}) of the correct option."
)
ASK_WITH_SUBTITLES = "This video's subtitles are listed below:\n{subtitles}\n"


class Subtitle(NamedTuple):
    """Words, shown from `start` to `end` seconds."""

    start: float
    end: float
    text: str


def clip_file(row: Row, name: str, *, folders: Sequence[str] = FOLDERS) -> Path:
    """The file of that name, with or without its ending, in one of the folders beside the rows. Where there is none,
    the path where it should be: a run says so of each question, and preflight of all at once."""
    endings = ("",) if Path(name).suffix.lower() in ENDINGS else ENDINGS
    paths = [row.folder / folder / f"{name}{ending}" for folder in folders for ending in endings]
    return next((path for path in paths if path.is_file()), paths[0])


def clip_prompt(sample: Sample, subtitles: Iterable[str] = ()) -> tuple[Message, ...]:
    """The clip, what its frames' subtitles say, the question and its options; the wording of VLMEvalKit's Video-MME."""
    names = [*sample.letters]
    letters = ", ".join(names[:-1]) + f", or {names[-1]}" if len(names) > 1 else "".join(names)
    said = "\n".join(subtitles)
    listed = "\n".join(f"{name}. {option}" for name, option in zip(LETTERS, sample.options, strict=False))
    text = ASK_WITH_SUBTITLES.format(subtitles=said) if said else ""
    text += f"{ASK.format(letters=letters)}\nQuestion: {sample.question}\n{listed}\nAnswer: "
    return (Message("user", (*sample.media, TextPart(text))),)


def read_srt(text: str) -> tuple[Subtitle, ...]:
    """The subtitles of a SubRip file, without markup.

    >>> read_srt("1\\n00:00:01,500 --> 00:00:02,000\\n<i>Hello</i>\\nthere\\n")
    (Subtitle(start=1.5, end=2.0, text='Hello there'),)
    """
    found = []
    for match in BLOCK.finditer(text.replace("\r\n", "\n")):
        times = [int(one) for one in match.groups()[:8]]
        start, end = (h * 3600 + m * 60 + s + ms / 1000 for h, m, s, ms in (times[:4], times[4:]))
        words = " ".join(MARKUP.sub("", match[9]).split())
        found += [Subtitle(start, end, words)] if words else []
    return tuple(found)


def shown(subtitles: Iterable[Subtitle], times: Sequence[float]) -> list[str]:
    """The words of those that are there at the time of any frame; the same words twice in a row once.

    >>> shown([Subtitle(0, 1, "a"), Subtitle(1, 2, "a"), Subtitle(2, 3, "b"), Subtitle(3, 4, "c")], [0.5, 1.5, 3.5])
    ['a', 'c']
    """
    words: list[str] = []
    for subtitle in subtitles:
        if any(subtitle.start <= time <= subtitle.end for time in times) and words[-1:] != [subtitle.text]:
            words.append(subtitle.text)
    return words


def frame_times(part: VideoPart, settings: Settings = CLIPS) -> list[float]:
    """Seconds at which frames are taken of a clip, as the processor takes them with these settings."""
    with open_video(part.video) as clip:
        first, last = frame_range(clip.total_frames, clip.fps, start=part.start, end=part.end)
        count = smart_nframes(
            last - first + 1,
            clip.fps,
            fps=part.fps or settings.fps,
            max_frames=part.max_frames or settings.max_frames,
        )
        return list(clip.times_s(frame_indices(first, last, count)))
