"""Log lines as JSON objects: what a request was answered with, and what went wrong, without anything it held."""

import json
import logging
import time
from typing import Any

__all__ = ["JsonLines", "log_to"]


class JsonLines(logging.Formatter):
    """One object a line. Tracebacks name files and lines; what exceptions say may come from a request and is cut."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
        }
        request = getattr(record, "request", None)
        line |= {"event": "request", **request} if request else {"message": record.getMessage()[:1000]}
        if record.exc_info and record.exc_info[1] is not None:
            line |= _trace(record.exc_info[1])
        if request_id := getattr(record, "request_id", None):
            line["id"] = request_id
        return json.dumps(line, ensure_ascii=True)


def log_to(handler: logging.Handler, level: int) -> None:
    """Sends the logs of the server and of uvicorn there, and nowhere else."""
    handler.setFormatter(JsonLines())
    for name, least in (("anyres", level), ("uvicorn", max(level, logging.WARNING))):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(least)
        logger.propagate = False


def _trace(error: BaseException) -> dict[str, Any]:
    frames = []
    place = error.__traceback__
    while place is not None:
        code = place.tb_frame.f_code
        frames.append(f"{code.co_filename.rpartition('/')[2]}:{place.tb_lineno} {code.co_name}")
        place = place.tb_next
    return {"error": type(error).__name__, "says": str(error)[:200], "trace": frames[-12:]}
