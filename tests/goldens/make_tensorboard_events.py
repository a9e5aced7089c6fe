"""Writes tensorboard_events.json.gz with the writer of tensorboard (2.21.0): `pip install tensorboard` first."""

import gzip
import io
import json
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

START = 300
TIMES = [1763722800.25, 1763722801.5, 1763722802.0, 1763722803.125, 1763722804.0]
SCALARS = [[301, {"loss": 2.5, "größe": -0.1}], [100_000, {"loss": 0.0}], [100_001, {"rate": 1e-12}]]


def main() -> None:
    first = Event(wall_time=TIMES[1], file_version="brain.Event:2")
    start = Event(wall_time=TIMES[2], step=START, session_log=SessionLog(status=SessionLog.START))
    events = [first, start]
    for time, (step, scalars) in zip([*TIMES[3:], 1763722805.5], SCALARS, strict=True):
        values = [Summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        events.append(Event(wall_time=time, step=step, summary=Summary(value=values)))
    content = {
        "start": START,
        "times": [*TIMES, 1763722805.5],
        "scalars": SCALARS,
        "records": [record(event).hex() for event in events],
    }
    path = Path(__file__).with_name("tensorboard_events.json.gz")
    path.write_bytes(gzip.compress(json.dumps(content).encode(), mtime=0))


def record(event: Event) -> bytes:
    file = io.BytesIO()
    RecordWriter(file).write(event.SerializeToString())
    return file.getvalue()


if __name__ == "__main__":
    main()
