r"""The value of an arithmetic expression, in plain writing or simple LaTeX; nothing is ever run as a program.

sum     = product (("+" | "-") product)*
product = power (("*" | "/" | nothing) power)*        2\sqrt{3} is 2 times the root
power   = sign* atom ("%" | "!")* ("^" power)?
atom    = number | π | "(" sum ")" | \frac{sum}{sum} | \sqrt[sum]{sum} | √ atom
"""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import ClassVar

__all__ = ["evaluate"]

Number = Fraction | float

LONGEST, DEEPEST = 400, 40
LARGEST_POWER = 1000
LARGEST = 1e300
WRITTEN = {
    "×": "*",
    "✕": "*",
    "·": "*",
    "∗": "*",
    "÷": "/",
    "∶": "/",
    "−": "-",
    "–": "-",
    "（": "(",
    "）": ")",
    "％": "%",
    "²": "^2",
    "³": "^3",
    "π": r"\pi",
    "√": r"\surd",
    r"\times": "*",
    r"\cdot": "*",
    r"\div": "/",
    r"\left": "",
    r"\right": "",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\%": "%",
    r"\,": "",
    r"\!": "",
    "$": "",
}
TOKEN = re.compile(r"\s*(\d+(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+\.?\d*|\.\d+|\\[a-z]+|\*\*|[-+*/^()\[\]{}%!])")
CLOSING = {"(": ")", "[": "]", "{": "}"}
STARTS = ("(", "[", "{", "\\frac", "\\sqrt", "\\surd", "\\pi")


def evaluate(text: str) -> Number | None:
    r"""Exact where no root, π or broken power is in it; None for what is no arithmetic, or has no finite value.

    >>> evaluate("630×[840÷(240-212)]"), evaluate(r"\frac{1}{3}+50\%"), evaluate("x+1")
    (Fraction(18900, 1), Fraction(5, 6), None)
    """
    for written, meant in WRITTEN.items():
        text = text.replace(written, meant)
    if len(text) > LONGEST:
        return None
    try:
        return _Reader(_tokens(text)).whole()
    except (ValueError, ArithmeticError):
        return None


def _tokens(text: str) -> list[str]:
    text, tokens, place = text.strip(), list[str](), 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise ValueError(text[place:])
        tokens.append("^" if match[1] == "**" else match[1])
        place = match.end()
    return tokens


class _Reader:
    """Reads the grammar above, one token ahead; ValueError where the tokens do not follow it."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, ""]
        self._place = 0
        self._depth = 0

    def whole(self) -> Number:
        value = self._sum()
        self._take("")
        return value

    @property
    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self, token: str | None = None) -> str:
        found = self._next
        if token is not None and found != token:
            raise ValueError(found)
        self._place += 1
        return found

    def _sum(self) -> Number:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("too deep")
        value = self._product()
        while self._next in ("+", "-"):
            value = _bounded(value + self._product() if self._take() == "+" else value - self._product())
        self._depth -= 1
        return value

    def _product(self) -> Number:
        value = self._signed()
        while self._next in ("*", "/") or self._next in STARTS:
            divides = self._next in ("*", "/") and self._take() == "/"
            factor = self._signed()
            value = _bounded(value / factor if divides else value * factor)
        return value

    def _signed(self) -> Number:
        negative = False
        while self._next in ("+", "-"):
            negative ^= self._take() == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Number:
        value = self._atom()
        while self._next in ("^", "%", "!"):
            mark = self._take()
            if mark == "^":
                return _power(value, self._exponent())
            value = value / 100 if mark == "%" else _factorial(value)
        return value

    def _exponent(self) -> Number:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ValueError("too deep")
        value = self._signed()
        self._depth -= 1
        return value

    def _atom(self) -> Number:
        first = self._take()
        if first in CLOSING:
            value = self._sum()
            self._take(CLOSING[first])
            return value
        return self._NAMED[first](self) if first in self._NAMED else Fraction(first.replace(",", ""))

    def _fraction(self) -> Number:
        above = self._argument()
        return above / self._argument()

    def _root(self) -> Number:
        degree = self._argument() if self._next == "[" else Fraction(2)
        return _power(self._argument(), 1 / degree)

    _NAMED: ClassVar[Mapping[str, Callable[["_Reader"], Number]]] = {
        "\\pi": lambda _: math.pi,
        "\\frac": _fraction,
        "\\sqrt": _root,
        "\\surd": lambda reader: _power(reader._atom(), 0.5),
    }

    def _argument(self) -> Number:
        """What stands in braces, or the next digit or sign alone, as LaTeX has it."""
        if self._next in CLOSING or self._next.startswith("\\"):
            return self._atom()
        token = self._take()
        if not token.isdigit():
            raise ValueError(token)
        if len(token) > 1:
            self._place -= 1
            self._tokens[self._place] = token[1:]
        return Fraction(token[0])


def _power(base: Number, exponent: Number) -> Number:
    if not -LARGEST_POWER <= exponent <= LARGEST_POWER:
        raise ValueError("power too large")
    if isinstance(exponent, Fraction) and exponent.denominator == 1 and isinstance(base, Fraction):
        if max(base.numerator.bit_length(), base.denominator.bit_length()) * abs(exponent) > LARGEST_POWER:
            raise ValueError("value too large")
        return _bounded(base**exponent.numerator)
    value = float(base) ** float(exponent)
    return _bounded(value if isinstance(value, float) else math.nan)  # of negative numbers it is complex


def _factorial(value: Number) -> Number:
    if not isinstance(value, Fraction) or value.denominator != 1 or not 0 <= value.numerator <= 100:
        raise ValueError("factorial")
    return Fraction(math.factorial(value.numerator))


def _bounded(value: Number) -> Number:
    if not -LARGEST < value < LARGEST:
        raise ValueError("value too large")
    return value
