"""A model of another library, in a process and if wanted an environment of its own: what transformers can load as
image-text-to-text (InternVL, LLaVA, Qwen2-VL and others; MiniCPM-V where its environment has it)."""

import base64
import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from anyres.chat import Answer, ImagePart, Message, TextPart, Usage, VideoPart
from anyres.disk_cache import DiskCache
from anyres.errors import AnyresError, CheckpointError, EngineError, OptionError
from anyres.evaluation.models import transformers_child
from anyres.evaluation.models.identity import checkpoint_id
from anyres.evaluation.models.query import Query, Told
from anyres.evaluation.models.remote import spelled
from anyres.evaluation.models.spec import ModelSpec
from anyres.evaluation.sample import Coordinates

__all__ = ["TransformersModel"]

MOST_FRAMES = 768


class TransformersModel:
    """Asked one by one. Pictures are sent as they are, at the size that the prompt's knobs ask for; everything else is
    its own processor's to decide. `spec.python` is the interpreter; this one without."""

    coordinates: Coordinates
    at_once = 1

    def __init__(self, spec: ModelSpec, disk: DiskCache | None = None) -> None:
        self._spec = spec
        self._disk = disk
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.name = spec.name
        self.coordinates = spec.coordinates

    @property
    def identity(self) -> str:
        """Its files' content, or the name that transformers will look up."""
        spec, path = self._spec, Path(self._spec.source)
        which = checkpoint_id(path, self._disk) if path.is_dir() else spec.source
        return f"transformers {which} {spec.device} {spec.dtype} {spec.python}"

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the libraries in its environment are known once it runs, so they are in no record before."""
        return {}

    def rendered(self, messages: Sequence[Message]) -> str:
        """The messages as JSON; its own chat template makes the prompt of them."""
        return spelled(messages)

    def ask(self, query: Query) -> Told:
        started = time.perf_counter()
        with self._lock:
            process = self._started()
            try:
                told = _asked(process, _question(query))
            except AnyresError as error:
                return Told(None, f"{type(error).__name__}: {error}", (), time.perf_counter() - started)
            except (OSError, EOFError):
                self._end()
                words = "EngineError: the process of transformers died; memory enough, or fewer pixels"
                return Told(None, words, (), time.perf_counter() - started)
        seconds = time.perf_counter() - started
        if "error" in told:
            return Told(None, told["error"], (), seconds)
        usage = Usage(told["prompt_tokens"], completion_tokens=told["completion_tokens"])
        return Told(Answer(told["text"], "stop" if told["stopped"] else "length", usage), "", (), seconds)

    def close(self) -> None:
        with self._lock:
            self._end()

    def _started(self) -> "subprocess.Popen[str]":
        """CheckpointError where the model does not open there, OptionError where the interpreter does not run."""
        if self._process is not None:
            return self._process
        spec = self._spec
        python = spec.python or sys.executable
        try:
            self._process = subprocess.Popen(  # noqa: S603  the user's interpreter, our own file
                [python, transformers_child.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise OptionError("--python", f"{python!r} ({error.strerror})", "an interpreter") from None
        try:
            said = _asked(self._process, {"source": spec.source, "device": spec.device, "dtype": spec.dtype})
        except (OSError, EOFError):
            self._end()
            raise EngineError(spec.name, f"{python} ended at once", "an environment with transformers") from None
        if "broken" in said:
            self._end()
            raise CheckpointError(spec.source, said["broken"], "a model that transformers opens there")
        return self._process

    def _end(self) -> None:
        if self._process is None:
            return
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # what was written reaches nobody any more
                    stream.close()
        self._process.kill()
        self._process.wait()
        self._process = None


def _asked(process: "subprocess.Popen[str]", value: dict[str, Any]) -> dict[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(value) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith(transformers_child.MARK):
            read: dict[str, Any] = json.loads(line.removeprefix(transformers_child.MARK))
            return read
    raise EOFError


def _question(query: Query) -> dict[str, Any]:
    options = query.options
    return {
        "messages": [{"role": one.role, "content": [_part(part) for part in one.parts]} for one in query.messages],
        "max_tokens": options.max_tokens or 1024,
        "temperature": options.temperature or 0,
        "seed": options.seed,
    }


def _part(part: TextPart | ImagePart | VideoPart) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "image", "image": _picture(part)}
    return {"type": "video", "video": _frames(part)}


def _picture(part: ImagePart) -> str:
    """Base64 of the file; resized first where a knob is set."""
    from anyres.client.media import data_url
    from anyres.processing.media import open_image

    sized = any(value is not None for name, value in vars(part).items() if name != "image")
    if not sized:
        return data_url(open_image(part.image).picture, "PNG").partition(",")[2]
    return base64.b64encode(_resized(part)).decode("ascii")


def _resized(part: ImagePart) -> bytes:
    from anyres.client.dialect import named_dialect
    from anyres.client.media import MediaRules, picture_parts

    (sent,) = picture_parts(part, MediaRules(pictures="fitted"), named_dialect("openai")).parts
    return base64.b64decode(sent["image_url"]["url"].partition(",")[2])


def _frames(part: VideoPart) -> list[str]:
    from anyres.client.clips import video_parts
    from anyres.client.dialect import named_dialect
    from anyres.client.media import MediaRules

    sent = video_parts(part, MediaRules(video="images", most_frames=MOST_FRAMES), named_dialect("openai")).parts
    return [one["image_url"]["url"].partition(",")[2] for one in sent if one["type"] == "image_url"]
