"""`anyres ask`: pictures and clips and a question in, the answer as it is made."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand

from anyres.chat import Answer, AnswerStream, GenerationOptions, Message, Part, Piece, TextPart
from anyres.cli.opening import endpoint_of, open_local, open_remote
from anyres.cli.options import (
    ApiKey,
    BaseUrl,
    Device,
    Draft,
    Dtype,
    End,
    Fps,
    Json,
    MaxPixels,
    MediaKnobs,
    Memory,
    MinPixels,
    Model,
    Nframes,
    Quiet,
    ResizedHeight,
    ResizedWidth,
    Start,
    TotalPixels,
    Video,
    sources,
)
from anyres.cli.structure import Pattern, SchemaFile, StopLoops, Words, constraint_of
from anyres.cli.terminal import console, note, status, write, write_json
from anyres.errors import OptionError

if TYPE_CHECKING:
    from rich.status import Status

    from anyres.client import RemoteChatModel
    from anyres.engine.engine import LocalChatModel
    from anyres.engine.runner import Progress, Report

__all__ = ["AskCommand", "ask", "reporter", "split_arguments", "summary"]

_SAMPLING = "Sampling"
EXAMPLES = """Asks about pictures and clips; the answer appears as it is made.

A picture is a path, a URL, or - for stdin. The last argument is the question.

Examples:

    anyres ask receipt.jpg "What is the total?"

    anyres ask before.png after.png "What changed?"

    anyres ask --video clip.mp4 --fps 1 "What happens first?"

    anyres ask receipt.jpg "Read it." --json-schema receipt.schema.json

    curl -s https://example.org/a.png | anyres ask - "What is it?" --json

    anyres ask receipt.jpg "Read it." --base-url http://127.0.0.1:8000/v1
"""


class AskCommand(TyperCommand):
    """Shows pictures and question apart in the usage line."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        del ctx
        return ["[OPTIONS]", "[IMAGE]... QUESTION"]


class Arguments(NamedTuple):
    """Names of pictures, and the question about them."""

    pictures: list[str]
    question: str


def ask(
    arguments: Annotated[
        list[str], typer.Argument(metavar="[IMAGE]... QUESTION", show_default=False, help="See above.")
    ],
    video: Video = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message, in place of the usual one.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Longest answer.", rich_help_panel=_SAMPLING)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="F", help="0 is the likeliest token each time.", rich_help_panel=_SAMPLING)
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(metavar="F", help="Likeliest tokens of this mass.", rich_help_panel=_SAMPLING)
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(metavar="N", help="The N likeliest tokens.", rich_help_panel=_SAMPLING)
    ] = None,
    min_p: Annotated[
        float | None,
        typer.Option(metavar="F", help="Tokens at least F times as likely as the first.", rich_help_panel=_SAMPLING),
    ] = None,
    repetition_penalty: Annotated[
        float | None, typer.Option(metavar="F", help="Above 1: says less again.", rich_help_panel=_SAMPLING)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Makes sampling repeatable.", rich_help_panel=_SAMPLING)
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Ends the answer. May be repeated.", rich_help_panel=_SAMPLING),
    ] = None,
    logprobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="N alternatives of each token; with --json.", rich_help_panel=_SAMPLING),
    ] = None,
    json_schema: SchemaFile = None,
    regex: Pattern = None,
    choices: Words = None,
    stop_loops: StopLoops = True,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    resized_height: ResizedHeight = None,
    resized_width: ResizedWidth = None,
    fps: Fps = None,
    nframes: Nframes = None,
    start: Start = None,
    end: End = None,
    total_pixels: TotalPixels = None,
    model: Model = None,
    device: Device = "auto",
    dtype: Dtype = None,
    memory: Memory = None,
    draft: Draft = None,
    base_url: BaseUrl = None,
    api_key: ApiKey = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    pictures, question = split_arguments(arguments)
    clips = video or []
    knobs = MediaKnobs(min_pixels, max_pixels, resized_height, resized_width, fps, nframes, start, end, total_pixels)
    knobs.check(has_video=bool(clips))
    if logprobs is not None and not as_json:
        raise OptionError("--logprobs", "given without --json", "with --json, which prints them")
    options = GenerationOptions(
        max_tokens=max_tokens,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
        seed=seed,
        stop=tuple(stop or ()),
        logprobs=logprobs,
        constraint=constraint_of(json_schema=json_schema, regex=regex, choices=choices),
        stop_loops=stop_loops,
    )
    messages = _messages(_parts(pictures, clips, knobs), question, system)
    endpoint = endpoint_of(base_url, api_key)
    if endpoint is not None:
        local = {"device": device, "dtype": dtype, "memory": memory, "draft": draft}
        with open_remote(endpoint, model, local) as remote:
            if as_json:
                write_json(_as_dict(remote.chat(messages, options=options), remote.name))
            else:
                _report(_stream_remote(remote, messages, options, quiet=quiet), quiet=quiet)
        return
    loaded = open_local(model, device=device, dtype=dtype, memory=memory, draft=draft, quiet=quiet)
    if as_json:
        write_json(_as_dict(loaded.chat(messages, options=options), loaded.name))
    else:
        _report(_stream(loaded, messages, options, quiet=quiet), quiet=quiet)


ask.__doc__ = EXAMPLES


def split_arguments(arguments: Sequence[str]) -> Arguments:
    """The last argument is the question; a trailing `-` is stdin, and the question stands before it.

    >>> split_arguments(["a.png", "b.png", "what?"])
    Arguments(pictures=['a.png', 'b.png'], question='what?')
    >>> split_arguments(["what?", "-"])
    Arguments(pictures=['-'], question='what?')
    """
    *pictures, question = arguments
    if question == "-" and pictures:
        *pictures, question = (*pictures[:-1], "-", pictures[-1])
    if question == "-" or _is_file(question):
        raise OptionError(
            "QUESTION", f"{question!r} is a file", 'words behind the pictures, as in: anyres ask a.png "What?"'
        )
    if not question.strip():
        raise OptionError("QUESTION", "empty", "words behind the pictures")
    return Arguments(pictures, question)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a zero byte
        return False


def _parts(pictures: Sequence[str], clips: Sequence[str], knobs: MediaKnobs) -> list[Part]:
    opened = sources([*pictures, *clips])
    images: list[Part] = [knobs.image_part(image) for image in opened[: len(pictures)]]
    return images + [knobs.video_part(clip) for clip in opened[len(pictures) :]]


def _messages(parts: Sequence[Part], question: str, system: str | None) -> list[Message]:
    message = Message("user", (*parts, TextPart(question)))
    return [message] if system is None else [Message("system", system), message]


def _stream(model: "LocalChatModel", messages: Sequence[Message], options: GenerationOptions, *, quiet: bool) -> Answer:
    """Writes the answer as it is made; until its first words a moving line tells how far the pictures are."""
    with status("Reading ...", quiet=quiet) as line:
        stream = model.stream_chat(messages, options=options, report=None if line is None else reporter(line))
        first = next(stream, None)
    return _written(first, stream)


def _stream_remote(
    model: "RemoteChatModel", messages: Sequence[Message], options: GenerationOptions, *, quiet: bool
) -> Answer:
    """`_stream` from elsewhere, which tells nothing before its first words."""
    with status(f"Waiting for {model.endpoint.host} ...", quiet=quiet):
        stream = model.stream_chat(messages, options=options)
        first = next(stream, None)
    return _written(first, stream)


def _written(first: Piece | None, rest: AnswerStream) -> Answer:
    if first is not None:
        write(first.text)
    for piece in rest:
        write(piece.text)
    write("\n")
    assert rest.answer is not None, "the pieces have run out"
    return rest.answer


def reporter(line: "Status") -> "Report":
    """Shows how far a model is on a moving line."""
    words = {"encode": "Seeing", "prefill": "Reading"}

    def report(progress: "Progress") -> None:
        of = f"{progress.item}/{progress.items}, " if progress.items > 1 else ""
        line.update(f"{words[progress.stage]} ... {of}{progress.done:,} of {progress.total:,} tokens")

    return report


def _report(answer: Answer, *, quiet: bool) -> None:
    """On stderr: what was changed on the way in, and on a terminal what the answer cost."""
    if quiet:
        return
    for text in answer.notes:
        note(f"note: {text}")
    if sys.stderr.isatty():
        console().print(summary(answer), style="dim", markup=False)


def summary(answer: Answer) -> str:
    """One line about an answer.

    >>> from anyres.chat import Timings, Usage
    >>> summary(Answer("hi", "stop", Usage(20, 64, 0, 9), Timings(0.1, 0.2, 0.2, 0.5)))
    '64 image + 20 text tokens, 0.5 s until the first word, 16 tokens/s'
    >>> summary(Answer("hi", "stop", Usage(20, 64, 0, 1, cached_tokens=70), Timings()))
    '64 image + 20 text tokens (70 known from before), 0.0 s until the first word'
    """
    usage, timings = answer.usage, answer.timings
    kinds = (("image", usage.image_tokens), ("video", usage.video_tokens), ("text", usage.text_tokens))
    seen = " + ".join(f"{count:,} {kind}" for kind, count in kinds if count)
    known = usage.cached_tokens + usage.cached_visual_tokens
    before = f" ({known:,} known from before)" if known else ""
    steps = usage.completion_tokens - 1  # the first token comes out of the prefill
    speed = f", {steps / timings.decode_s:.0f} tokens/s" if steps > 0 and timings.decode_s > 0 else ""
    cut = _CUTS.get(answer.finish_reason, "")
    return f"{seen} tokens{before}, {timings.first_token_s:.1f} s until the first word{speed}{cut}"


_CUTS = {
    "length": ", cut off at the limit (--max-tokens)",
    "repetition": ", cut off where it began to repeat itself (--no-stop-loops)",
}


def _as_dict(answer: Answer, model: str) -> dict[str, Any]:
    """The object `--json` prints."""
    fields: dict[str, Any] = {
        "model": model,
        "text": answer.text,
        "finish_reason": answer.finish_reason,
        "usage": asdict(answer.usage) | {"prompt_tokens": answer.usage.prompt_tokens},
        "timings": asdict(answer.timings),
        "notes": list(answer.notes),
    }
    if answer.logprobs is not None:
        fields["logprobs"] = [asdict(one) for one in answer.logprobs]
    return fields
