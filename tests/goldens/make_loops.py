"""Writes loops.json.gz: tables that are none and answers that are loops, both real.

`python tests/goldens/make_loops.py PUBTABNET MMMU`: folders with `tables.jsonl` and `teds_pairs.jsonl` (PubTabNet's
examples, annotations CDLA-Permissive-1.0) and with `outputs_qwen_vl.jsonl` (MMMU's validation outputs, Apache-2.0).
"""

import gzip
import json
import sys
from pathlib import Path

SHORTEST = 1000  # letters of an answer in which a loop can show
CIRCLES = 0.14  # bytes after gzip for each letter: prose of this length takes 0.16 to 0.5


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def compressed(text: str) -> float:
    """Bytes after gzip for each letter."""
    return len(gzip.compress(text.encode())) / len(text)


def main(pubtabnet: Path, mmmu: Path) -> None:
    tables = [row["html"] for row in rows(pubtabnet / "tables.jsonl")]
    tables += [row["gold_html"] for row in rows(pubtabnet / "teds_pairs.jsonl")]
    answers = [row["response"] for row in rows(mmmu / "outputs_qwen_vl.jsonl")]
    long = [answer for answer in answers if len(answer) > SHORTEST]
    content = {
        "tables": tables,
        "loops": [answer for answer in long if compressed(answer) < CIRCLES],
        "prose": [answer for answer in long if compressed(answer) >= CIRCLES],
    }
    path = Path(__file__).with_name("loops.json.gz")
    path.write_bytes(gzip.compress(json.dumps(content, ensure_ascii=False).encode(), mtime=0))
    print({name: len(texts) for name, texts in content.items()}, path.stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
