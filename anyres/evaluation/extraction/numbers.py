"""A number as people write it."""

import re

__all__ = ["number_in"]

NUMBER = re.compile(r"[+-]?(?:(?:\d{1,3}(?:[,\u00a0\u202f ]\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
CURRENCIES = "$€£¥₹"
UNITS = re.compile(r"\s*(?:%|percent|per cent|％)$", re.IGNORECASE)


def number_in(text: str) -> float | None:
    """The value of a text that is one number, with a currency, a per cent sign or commas or without; None of any other.

    A per cent sign says how it is written, not a hundredth.

    >>> number_in("$1,400."), number_in("95 %"), number_in("about 5"), number_in("-.5"), number_in("-$3")
    (1400.0, 95.0, None, -0.5, -3.0)
    """
    words = UNITS.sub("", text.strip().rstrip(".")).replace("\u2212", "-")
    bare = re.sub(rf"^([+-]?)\s*[{CURRENCIES}]\s*|\s*[{CURRENCIES}]$", r"\1", words).strip()
    return float(re.sub(r"[,\s]", "", bare)) if NUMBER.fullmatch(bare) else None
