"""ScreenSpot: where to click for an instruction, on screenshots of phones, desktops and web pages.

Paper: Cheng et al., SeeClick, arXiv 2401.10935. Overall is the mean over six groups, platform by text or icon, as the
paper's average. The Qwen2-VL paper gives no figure for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from anyres.chat import Message, TextPart
from anyres.evaluation.benchmark import Benchmark, Graded, Scoring
from anyres.evaluation.data.picture_size import picture_size
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.places import point_of
from anyres.evaluation.metrics.boxes import is_inside
from anyres.evaluation.metrics.groups import mean, percent
from anyres.evaluation.published import DYNAMIC
from anyres.evaluation.sample import Sample

__all__ = ["SCREENSPOT"]

PLATFORMS = {
    "ios": "mobile",
    "android": "mobile",
    "mobile": "mobile",
    "windows": "desktop",
    "macos": "desktop",
    "desktop": "desktop",
}
PROMPT = "In this screenshot, where is the element for this instruction: {}? Answer with its box or point."


def read_screenspot(path: Path) -> Iterable[Sample]:
    """The authors' JSON and VLMEvalKit's TSV (`img_filename` or `index`; `bbox` [x, y, width, height] in pixels), or
    the hub's parquet (`bbox` two corners in parts of the picture)."""
    return samples_of_rows(path, _sample)


def _sample(row: Row) -> Sample:
    pictures = row.pictures("image", "img_filename", "image_path")
    if not pictures:
        raise row.wrong("nothing", "a picture", columns=("image", "img_filename"))
    width, height = picture_size(row, pictures[0])
    box = _corners(row, width, height)
    source = row.optional("data_source", "platform").lower()
    platform = PLATFORMS.get(source) or PLATFORMS.get(row.optional("category").lower(), "web")
    return Sample(
        id=row.optional("id", "index") or row.name,
        question=row.text("instruction", "question"),
        media=pictures[:1],
        golds=(str(box),),
        cluster=picture_cluster(pictures),
        categories={"category": f"{platform} {row.text('data_type')}", "l2-category": platform},
        facts={"width": width, "height": height, "box": box},
    )


def _corners(row: Row, width: int, height: int) -> list[float]:
    numbers = [Row(row.name, {"bbox": item}).number("bbox") for item in row.items("bbox")]
    if len(numbers) != 4:
        raise row.wrong(f"{len(numbers)} numbers", "four", columns=("bbox",))
    if row.has("img_filename", "index"):
        x, y, wide, high = numbers
        return [x, y, x + wide, y + high]
    return [number * side for number, side in zip(numbers, (width, height) * 2, strict=True)]


def screenspot_prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", (*sample.media, TextPart(PROMPT.format(sample.question)))),)


def summarise_screenspot(graded: Sequence[Graded]) -> Mapping[str, float]:
    """Mean over the groups that there are, the groups, and the share of all samples."""
    names = sorted({one.sample.categories["category"] for one in graded})
    groups = {name: percent([one for one in graded if one.sample.categories["category"] == name]) for name in names}
    return {"overall": mean(list(groups.values())), **groups, "of all samples": percent(graded)}


SCREENSPOT = Benchmark(
    name="ScreenSpot",
    title="ScreenSpot: where to click",
    paper="https://arxiv.org/abs/2401.10935",
    read=read_screenspot,
    prompt=screenspot_prompt,
    scorings=(
        Scoring(
            "official",
            1,
            point_of,
            is_inside,
            summarise_screenspot,
            about="The first point, or the middle of the first box, lies in the element's box.",
        ),
    ),
    settings=replace(DYNAMIC, max_tokens=128),
    official_rows=1272,
    aliases=("ScreenSpot_Mobile", "ScreenSpot_Desktop", "ScreenSpot_Web"),
)
