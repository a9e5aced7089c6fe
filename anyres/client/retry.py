"""Which failures are worth another try, and after how long: the rule of OpenAI's own clients."""

import email.utils
import math
from collections.abc import Mapping

__all__ = ["is_worth_repeating", "pause_s"]

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
LONGEST_ASKED_S = 120.0
REPEATED = (408, 409, 429)


def is_worth_repeating(status: int, headers: Mapping[str, str]) -> bool:
    """408, 409, 429 and every 5xx, unless `x-should-retry` says otherwise.

    >>> is_worth_repeating(503, {}), is_worth_repeating(500, {"x-should-retry": "false"}), is_worth_repeating(400, {})
    (True, False, False)
    """
    said = headers.get("x-should-retry", "").lower()
    if said in ("true", "false"):
        return said == "true"
    return status in REPEATED or status >= 500


def pause_s(attempt: int, headers: Mapping[str, str], *, now: float, share: float) -> float:
    """Seconds before the try after number `attempt` (from 0): what the server asks for, up to 120, else 0.5, 1 ... 8.

    `share` (0..1) of a quarter is taken off, so that many clients do not come back together; `now` is the wall clock.

    >>> pause_s(0, {"retry-after-ms": "1500"}, now=0, share=0.5), pause_s(2, {}, now=0, share=0.0)
    (1.5, 2.0)
    """
    asked = _asked(headers, now)
    if asked is not None and 0 <= asked <= LONGEST_ASKED_S:
        return asked
    return min(FIRST_PAUSE_S * 2.0 ** min(attempt, 10), LONGEST_PAUSE_S) * (1 - share / 4)


def _asked(headers: Mapping[str, str], now: float) -> float | None:
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after")
    seconds = _number(text)
    if seconds is not None or text is None:
        return seconds
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
