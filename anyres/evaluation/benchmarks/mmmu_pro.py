"""MMMU-Pro: MMMU with ten options, and as a photograph or screenshot of the whole question.

Paper: arXiv 2409.02813. The score is the mean of both settings.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from anyres.chat import Message
from anyres.evaluation.benchmark import Benchmark, Extraction, Scoring
from anyres.evaluation.benchmarks.mmmu import all_pictures
from anyres.evaluation.choices import gold_letter, options_of
from anyres.evaluation.data.files import FORMATS, read_rows
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.extraction.letters import letter_of
from anyres.evaluation.extraction.mmmu import mmmu_letter
from anyres.evaluation.metrics.exact import is_gold
from anyres.evaluation.metrics.mmmu import summarise_mmmu_pro
from anyres.evaluation.prompts import asked, listed_options
from anyres.evaluation.published import DYNAMIC, PAPER, README, targets
from anyres.evaluation.sample import Reply, Sample

__all__ = ["MMMU_PRO"]

TEN_OPTIONS, VISION = "standard (10 options)", "vision"
CHOOSE = "Answer with the option letter from the given choices directly."


def read_mmmu_pro(path: Path) -> Iterator[Sample]:
    """A file of one setting, or the published folder with a folder or file for each."""
    return map(mmmu_pro_sample, chain.from_iterable(map(read_rows, _parts(path))))


def _parts(path: Path) -> list[Path]:
    """Shards of parquet are one part; folders and other files are one each."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in FORMATS)
    folders = sorted(
        folder for folder in path.iterdir() if folder.is_dir() and any(_is_data(one) for one in folder.iterdir())
    )
    return [path] if files and all(file.suffix == ".parquet" for file in files) else [*files, *folders] or [path]


def _is_data(path: Path) -> bool:
    return path.suffix.lower() in FORMATS


def mmmu_pro_sample(row: Row) -> Sample:
    """A row with a question has ten options; one without shows it in its picture."""
    setting = TEN_OPTIONS if row.has("question") else VISION
    options = options_of(row)
    media = all_pictures(row)
    gold, name = gold_letter(row, options), row.text("id", "index")
    return Sample(
        id=f"{setting}/{name}",
        question=row.optional("question").strip(),
        media=media,
        options=options,
        golds=(gold,) if gold else (),
        cluster=name if row.has("id") else picture_cluster(media) or name,
        categories={"setting": setting}
        | ({"category": row.text("subject", "category")} if row.has("subject", "category") else {}),
    )


def ask(sample: Sample) -> tuple[Message, ...]:
    """The options stand in the text in the one setting, in the picture in the other."""
    if sample.categories["setting"] == VISION:
        return asked(sample, CHOOSE)
    return asked(sample, f"{sample.question}\n{listed_options(sample)}\n{CHOOSE}")


def official_letter(reply: Reply, sample: Sample) -> Extraction:
    """As MMMU's parser."""
    return mmmu_letter(reply.text, sample.options)


MMMU_PRO = Benchmark(
    name="MMMU-Pro",
    title="MMMU-Pro",
    paper="https://arxiv.org/abs/2409.02813",
    read=read_mmmu_pro,
    prompt=ask,
    scorings=(
        Scoring(
            "official",
            1,
            official_letter,
            is_gold,
            summarise_mmmu_pro,
            about="MMMU's parser; where it draws a letter at random there is no answer here.",
        ),
        Scoring("strict", 1, letter_of, is_gold, summarise_mmmu_pro, about="Letters by our rules."),
    ),
    settings=DYNAMIC,
    targets=(
        *targets(21.2, 30.5, 46.2, source=README, n=3460),
        *targets(37.6, 43.5, 46.2, source=PAPER, n=3460),
    ),
    official_rows=3460,
    aliases=("MMMU_Pro", "MMMU_Pro_10c", "MMMU_Pro_V"),
)
