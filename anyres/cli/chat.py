"""`anyres chat`: a conversation in the terminal, with a model on this machine or elsewhere."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from anyres.chat import Answer, AnswerStream, GenerationOptions, ImagePart, Message
from anyres.cli.ask import reporter, summary
from anyres.cli.conversation import Attachment, Conversation, attach_clip, attach_picture, load_chat
from anyres.cli.dragging import dropped_files
from anyres.cli.markdown import redraw
from anyres.cli.opening import endpoint_of, open_local, open_remote
from anyres.cli.options import (
    ApiKey,
    BaseUrl,
    Device,
    Draft,
    Dtype,
    End,
    Fps,
    MaxPixels,
    MediaKnobs,
    Memory,
    MinPixels,
    Model,
    Nframes,
    Quiet,
    Start,
    TotalPixels,
    Video,
    sources,
)
from anyres.cli.preview import Mode, choose_mode, preview
from anyres.cli.reading import PipeReader, Reader, TerminalReader, Typed, held_keys
from anyres.cli.slash import completions, find_command, is_command
from anyres.cli.terminal import complain, console, note, status, write, write_line
from anyres.errors import AnyresError, OptionError
from anyres.grounding import Box, Point, parse_grounding

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from PIL.Image import Image
    from rich.status import Status

    from anyres.client import RemoteChatModel
    from anyres.engine.engine import LocalChatModel
    from anyres.engine.runner import Report

__all__ = ["Chat", "chat"]

_SAMPLING = "Sampling"


@dataclass
class Chat:
    """A conversation under way: what was said, how the next answer is made, and how it is shown.

    `open_model` opens another model by name, `list_models` tells which there are. Where the reader is a pipe, the first
    error ends the chat.
    """

    model: "LocalChatModel | RemoteChatModel"
    open_model: Callable[[str], "LocalChatModel | RemoteChatModel"]
    list_models: Callable[[], Sequence[str]]
    reader: Reader
    conversation: Conversation = field(default_factory=Conversation)
    options: GenerationOptions = field(default_factory=GenerationOptions)
    knobs: MediaKnobs = field(default_factory=MediaKnobs)
    mode: Mode = "off"
    environ: Mapping[str, str] = field(default_factory=dict)
    draws: bool = False  # markdown
    quiet: bool = False
    done: bool = False
    noted: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Until the end of the input, or /exit."""
        while not self.done:
            try:
                typed = self.reader.read(self._prompt())
            except KeyboardInterrupt:
                self.tell("Ctrl-D or /exit ends the chat")
                continue
            except EOFError:
                return
            try:
                self.take(typed)
            except AnyresError as error:
                if not self.reader.interactive:
                    raise
                complain(str(error))
            except KeyboardInterrupt:
                self.tell("stopped")

    def take(self, typed: Typed) -> None:
        """What was typed: a command, or a question with files that were dropped on it."""
        line = typed.text.strip()
        if not typed.is_block and is_command(line):
            command, rest = find_command(line)
            command.run(self, rest)
            return
        drops = self.reader.interactive and not typed.is_block
        text, files = dropped_files(line) if drops else (line, [])
        for path, kind in files:
            self.attach(attach_picture(path, self.knobs) if kind == "image" else attach_clip(path, self.knobs))
        if text:
            sent = self.conversation.ask(text)
            try:
                self.answer()
            except BaseException:
                if self.conversation.turns[-1].role == "user":
                    self.conversation.take_back(sent)
                raise

    def attach(self, attachment: Attachment) -> None:
        """Adds it to the next question, and shows it where the terminal can."""
        self.conversation.waiting.append(attachment)
        self.tell(f"attached: {attachment.name} ({attachment.size})")
        if self.mode != "off" and isinstance(attachment.part, ImagePart):
            self._show(attachment.part)

    def answer(self) -> None:
        """The next turn. Ctrl-C stops it; what was said by then counts as the answer."""
        said: list[str] = []
        try:
            answer = self._spoken(said)
        except KeyboardInterrupt:
            if not said:
                raise
            write_line("")
            self.tell("stopped")
            answer = None
        self.conversation.turns.append(Message("assistant", "".join(said)))
        if answer is not None:
            if self.draws:
                redraw(answer.text)
            if self.reader.interactive:
                self._show_places(answer.text)
            self._report(answer)

    def regenerate(self) -> None:
        """Answers the last question again. The old answer stays where no new one comes."""
        before = list(self.conversation.turns)
        if not self.conversation.reopen():
            self.tell("nothing was asked yet")
            return
        try:
            self.answer()
        except BaseException:
            self.conversation.turns = before
            raise

    def find(self, what: str) -> None:
        """Boxes of something in the picture that was attached last."""
        part = self.conversation.last_picture
        if part is None:
            raise OptionError("/find", "no picture", "one that was attached with /image")
        from anyres.processing.media import open_image

        with self._waiting(f"Looking for {what} ..."):
            boxes = self.model.find(part, what, options=self.options)
        for box in boxes:
            write_line(f"  {box.label or what}: " + " ".join(f"{edge:.0f}" for edge in box.edges))
        if not boxes:
            self.tell("nothing found")
        elif self.mode != "off":
            self._draw_on(open_image(part.image).picture, boxes)

    def change_model(self, name: str) -> None:
        """Goes on with another one; the old one stays where it cannot be opened."""
        old, self.model = self.model, self.open_model(name)
        old.close()

    def model_names(self) -> Sequence[str]:
        """Those there are, the present one among them."""
        names = list(self.list_models())
        return names if self.model.name in names else [self.model.name, *names]

    def tell(self, text: str) -> None:
        """A line beside the conversation."""
        if not self.quiet:
            note(text)

    def _prompt(self) -> str:
        names = "".join(f"[{one.name}] " for one in self.conversation.waiting)
        return f"{names}> "

    def _spoken(self, said: list[str]) -> Answer:
        with self._waiting("Reading ...") as line:
            stream = self._stream(None if line is None else reporter(line))
            first = next(stream, None)
        try:
            if first is not None:
                said.append(first.text)
                write(first.text)
            for piece in stream:
                said.append(piece.text)
                write(piece.text)
        except AnyresError:
            write("\n" if said else "")
            raise
        finally:
            stream.close()
        write("\n")
        assert stream.answer is not None, "the pieces have run out"
        return stream.answer

    def _stream(self, report: "Report | None") -> AnswerStream:
        from anyres.client import RemoteChatModel

        messages = self.conversation.messages
        if isinstance(self.model, RemoteChatModel):
            return self.model.stream_chat(messages, options=self.options)
        return self.model.stream_chat(messages, options=self.options, report=report)

    def _waiting(self, text: str) -> "AbstractContextManager[Status | None]":
        return status(text, quiet=self.quiet)

    def _report(self, answer: Answer) -> None:
        if self.quiet:
            return
        for text in answer.notes:
            if text not in self.noted:  # the same picture goes along every time
                note(f"note: {text}")
        self.noted.update(answer.notes)
        if sys.stderr.isatty():
            console().print(summary(answer), style="dim", markup=False)

    def _show_places(self, text: str) -> None:
        """The places that an answer names, in pixels of the picture that was attached last, and drawn on it."""
        part, found = self.conversation.last_picture, parse_grounding(text)
        if part is None or not (found.boxes or found.points):
            return
        from anyres.processing.media import open_image

        picture = open_image(part.image).picture
        width, height = picture.size
        places: list[Box | Point] = [
            *(box.to_pixels(width=width, height=height) for box in found.boxes),
            *(point.to_pixels(width=width, height=height) for point in found.points),
        ]
        for place in places:
            numbers = place.edges if isinstance(place, Box) else (place.x, place.y)
            self.tell(f"  {place.label or 'here'}: " + " ".join(f"{number:.0f}" for number in numbers))
        if self.mode != "off":
            self._draw_on(picture, places)

    def _draw_on(self, picture: "Image", places: Sequence[Box | Point]) -> None:
        from anyres.drawing import draw

        self._write_picture(preview(draw(picture, places), self.mode))

    def _show(self, part: ImagePart) -> None:
        from anyres.processing.media import open_image

        self._write_picture(preview(open_image(part.image).picture, self.mode))

    def _write_picture(self, escapes: str) -> None:
        """Our own escapes, made of pixels alone."""
        sys.stdout.write(escapes)
        sys.stdout.flush()


def chat(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE]...", show_default=False, help="Pictures to begin with.")
    ] = None,
    video: Video = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The system message, in place of the usual one.")
    ] = None,
    load: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Go on with a conversation that /save wrote.")
    ] = None,
    show: Annotated[
        str,
        typer.Option(
            "--preview", metavar="HOW", help="Pictures in the terminal: auto, kitty, iterm2, sixel, blocks, off."
        ),
    ] = "auto",
    markdown: Annotated[bool, typer.Option(help="Draw an answer's markdown once it is complete.")] = True,
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", help="Longest answer.", rich_help_panel=_SAMPLING)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(metavar="F", help="0 is the likeliest token each time.", rich_help_panel=_SAMPLING)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Makes sampling repeatable.", rich_help_panel=_SAMPLING)
    ] = None,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
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
    quiet: Quiet = False,
) -> None:
    """A conversation about pictures and clips. /help shows its commands; lines of a pipe are asked one by one.

    Examples:

        anyres chat

        anyres chat photo.jpg --system "Answer in one word."

        anyres chat --base-url http://127.0.0.1:8000/v1 --model qwen2-vl

        echo "What is in it?" | anyres chat photo.jpg
    """
    knobs = MediaKnobs(min_pixels, max_pixels, None, None, fps, nframes, start, end, total_pixels)
    options = GenerationOptions(max_tokens=max_tokens, temperature=temperature, seed=seed)
    interactive = sys.stdin.isatty() and sys.stdout.isatty()
    mode = choose_mode(show, os.environ) if interactive or show != "auto" else "off"
    conversation = Conversation() if load is None else load_chat(load)
    conversation.system = conversation.system if system is None else system
    endpoint = endpoint_of(base_url, api_key)

    def open_one(name: str | None) -> "LocalChatModel | RemoteChatModel":
        if endpoint is not None:
            return open_remote(endpoint, name, {"device": device, "dtype": dtype, "memory": memory, "draft": draft})
        return open_local(name, device=device, dtype=dtype, memory=memory, draft=draft, quiet=quiet)

    opened = open_one(model)
    talk = Chat(
        opened,
        open_one,
        lambda: _model_names(talk.model),
        TerminalReader(completions(), os.environ) if interactive else PipeReader(sys.stdin),
        conversation,
        options,
        knobs,
        mode,
        os.environ,
        draws=markdown and interactive and os.environ.get("TERM") != "dumb",
        quiet=quiet,
    )
    _begin(talk, images or [], video or [])


def _begin(talk: Chat, images: Sequence[str], clips: Sequence[str]) -> None:
    talk.knobs.check(has_video=bool(clips) or talk.reader.interactive)
    for source in sources(images):
        talk.attach(attach_picture(source, talk.knobs))
    for source in sources(clips):
        talk.attach(attach_clip(source, talk.knobs))
    if talk.reader.interactive:
        talk.tell(f"{talk.model.name}; /help shows the commands, Ctrl-D ends")
    try:
        with held_keys() if talk.reader.interactive else nullcontext():
            talk.run()
    finally:
        talk.model.close()


def _model_names(model: "LocalChatModel | RemoteChatModel") -> list[str]:
    from anyres.client import RemoteChatModel

    if isinstance(model, RemoteChatModel):
        return model.models()
    from anyres.model.hub import list_models

    return [one.name for one in list_models()]
