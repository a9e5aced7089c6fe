"""A file in memory that is called by its name."""

import io

__all__ = ["NamedBytes"]


class NamedBytes(io.BytesIO):
    """Bytes whose errors and notes call them by their name."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(data)
        self.name = name
