"""A TSV of MMStar's form with pictures of this repository, for runs of the embedded checkpoint."""

import base64
from pathlib import Path

ROOT = Path(__file__).parents[3]
PICTURES = ("heading.png", "scan_portuguese.png")


def write_choices(path: Path, count: int) -> Path:
    """A picture is written once; later rows name the row that has it."""
    lines = ["index\timage\tquestion\tA\tB\tanswer\tcategory"]
    for number in range(count):
        name = PICTURES[number % len(PICTURES)]
        picture = base64.b64encode((ROOT / "examples" / name).read_bytes()).decode()
        image = picture if number < len(PICTURES) else str(number % len(PICTURES))
        lines.append(f"{number}\t{image}\tIs it number {number}?\tyes\tno\t{'AB'[number % 2]}\tcounting")
    path.write_text("\n".join(lines) + "\n")
    return path
