"""Which model is meant: what `--model` says, in a form that other processes and run.json can hold."""

import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from anyres.errors import OptionError
from anyres.evaluation.sample import Coordinates

__all__ = ["ModelSpec", "parse_model"]

Kind = Literal["local", "remote", "transformers"]
FORMS = "tiny, a folder, org/name, http://host/v1#model, or transformers:org/name; NAME= in front calls it so"
LABELLED = re.compile(r"([A-Za-z0-9][\w.-]*)=(.+)", re.ASCII)
TRANSFORMERS = "transformers:"
QWEN = "Qwen2-VL-"


@dataclass(frozen=True)
class ModelSpec:
    """A model and how it is run. `name` is what records call it, `source` where it is: a checkpoint or an address.

    `remote_name` is what the endpoint calls it. `at_once` is how many questions it is given together (None: 32 here,
    8 elsewhere). `tries` is how often one question is put to an endpoint, `retry_budget` how many of a whole run may be
    put again, `timeout_s` how long its silence is borne. `python` is the interpreter of a transformers process. Keys
    are never part of it: they come from the environment.
    """

    name: str
    source: str
    kind: Kind = "local"
    remote_name: str | None = None
    device: str = "auto"
    dtype: str | None = None
    memory: str | None = None
    coordinates: Coordinates = "thousandths"
    at_once: int | None = None
    tries: int = 3
    retry_budget: int = 100
    timeout_s: float = 300.0
    python: str | None = None
    ray: str | None = None
    ray_workers: int = 1

    def __post_init__(self) -> None:
        for name in ("at_once", "tries", "ray_workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(name, str(value), "a whole number from 1")
        if self.retry_budget < 0:
            raise OptionError("retry_budget", str(self.retry_budget), "a whole number from 0")
        if self.timeout_s <= 0:
            raise OptionError("timeout_s", str(self.timeout_s), "a number above 0")

    @property
    def slug(self) -> str:
        """Its name as that of a file.

        >>> ModelSpec("Qwen/Qwen2-VL-2B-Instruct", "").slug, ModelSpec("127.0.0.1:8000/tiny", "").slug
        ('Qwen__Qwen2-VL-2B-Instruct', '127.0.0.1_8000__tiny')
        """
        return re.sub(r"[^A-Za-z0-9._-]", "_", self.name.replace("/", "__"))

    def to_dict(self) -> dict[str, Any]:
        """What is not as usual, for JSON."""
        usual = {one.name: one.default for one in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != usual[name]}


def parse_model(text: str) -> ModelSpec:
    """What `--model` means.

    >>> parse_model("served=http://127.0.0.1:8000/v1#tiny").remote_name
    'tiny'
    >>> parse_model("http://127.0.0.1:8000/v1#tiny").name, parse_model("Qwen2-VL-7B-Instruct").source
    ('127.0.0.1:8000/tiny', 'Qwen/Qwen2-VL-7B-Instruct')
    """
    labelled = None if Path(text).exists() else LABELLED.fullmatch(text)
    label, source = labelled.groups() if labelled else (None, text)
    if not source.strip():
        raise OptionError("--model", repr(text), FORMS)
    if source.startswith(("http://", "https://")):
        return _remote(label, source)
    if source.startswith(TRANSFORMERS):
        path = source.removeprefix(TRANSFORMERS)
        return ModelSpec(label or f"{_checkpoint_name(path)}-transformers", path, "transformers")
    path = f"Qwen/{source}" if source.startswith(QWEN) and not Path(source).exists() else source
    return ModelSpec(label or _checkpoint_name(path), path)


def _remote(label: str | None, source: str) -> ModelSpec:
    address, _, model = source.partition("#")
    name = label or "/".join(filter(None, (urlsplit(address).netloc.rpartition("@")[2], model)))
    return ModelSpec(name, address, "remote", remote_name=model or None)


def _checkpoint_name(source: str) -> str:
    """The last part of a path; hub names as they are."""
    path = Path(source)
    return path.name or path.resolve().name if path.exists() or path.is_absolute() else source
