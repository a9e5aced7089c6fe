"""RealWorldQA: 765 questions about photographs, most of them from cars.

Source: https://x.ai/blog/grok-1.5v (data: huggingface.co/datasets/xai-org/RealworldQA). Most questions have options,
written below the question in the published rows and in columns in VLMEvalKit's.
"""

import re
from functools import partial

from anyres.chat import Message
from anyres.evaluation.benchmark import Benchmark, Extraction, Scoring
from anyres.evaluation.choices import options_of
from anyres.evaluation.data.rows import Row, picture_cluster
from anyres.evaluation.data.samples import samples_of_rows
from anyres.evaluation.extraction.letters import letter_of, vlmevalkit_letter_of
from anyres.evaluation.extraction.short_answer import short_answer
from anyres.evaluation.metrics.exact import is_gold, summarise_mean
from anyres.evaluation.prompts import choice_prompt, plain_prompt
from anyres.evaluation.published import DYNAMIC, README, targets
from anyres.evaluation.sample import LETTERS, Reply, Sample

__all__ = ["REALWORLDQA"]

OPTION = re.compile(r"^\s*([A-Z])[.):]\s+(.+)$", re.MULTILINE)


def realworldqa_sample(row: Row) -> Sample:
    """A letter as the gold where there are options, else the words in lower case."""
    question, media = row.text("question").strip(), row.needed_pictures("image", "image_path")
    asked, gold = options_of(row), row.optional("answer").strip()
    options = asked or _options_in(question)
    read = row.letter("answer", options=options) if options and len(gold) == 1 else gold.lower().rstrip(".")
    name = row.optional("index", "id", "question_id") or row.optional("image_path") or row.name
    return Sample(
        id=name,
        question=question,
        media=media,
        options=options if len(gold) <= 1 else (),
        golds=(read,) if read else (),
        cluster=picture_cluster(media) or name,
        categories={"category": row.text("category")} if row.has("category") else {},
        facts={"options in columns": bool(asked)},
    )


def ask(sample: Sample) -> tuple[Message, ...]:
    """Questions that list their options and say how to answer stand as they are."""
    return choice_prompt(sample) if sample.facts["options in columns"] else plain_prompt(sample)


def official_answer(reply: Reply, sample: Sample) -> Extraction:
    """The letter, or of an open question the words in lower case without full stops at the end."""
    if sample.options:
        return vlmevalkit_letter_of(reply, sample)
    return Extraction(reply.text.lower().strip().rstrip("."), "the whole answer")


def strict_answer(reply: Reply, sample: Sample) -> Extraction:
    """The letter by our rules, or of an open question what is said after "the answer is"."""
    if sample.options:
        return letter_of(reply, sample)
    found = short_answer(reply.text)
    return Extraction(found.value.lower(), found.rule) if found.value is not None else found


def _options_in(question: str) -> tuple[str, ...]:
    found = OPTION.findall(question)
    listed = "".join(name for name, _ in found)
    return tuple(text.strip() for _, text in found) if listed and LETTERS.startswith(listed) else ()


OPEN = "; open questions by equal words without case and full stop."

REALWORLDQA = Benchmark(
    name="RealWorldQA",
    title="RealWorldQA",
    paper="https://x.ai/blog/grok-1.5v",
    read=partial(samples_of_rows, sample_of=realworldqa_sample),
    prompt=ask,
    scorings=(
        Scoring("official", 1, official_answer, is_gold, summarise_mean, about="Letters as VLMEvalKit" + OPEN),
        Scoring("strict", 1, strict_answer, is_gold, summarise_mean, about="Letters by our rules" + OPEN),
    ),
    settings=DYNAMIC,
    targets=targets(62.9, 70.1, 77.8, source=README, n=765),
    official_rows=765,
)
