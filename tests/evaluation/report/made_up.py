"""A benchmark of a few samples, answers of two models to them, and words that try to do harm."""

from collections.abc import Mapping, Sequence

from anyres.chat import ImagePart, Message
from anyres.errors import DatasetError
from anyres.evaluation.benchmark import Benchmark, Extraction, Graded, Scoring, Target
from anyres.evaluation.record import Record
from anyres.evaluation.report.results import Answers, Result, make_result
from anyres.evaluation.sample import Reply, Sample

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">&amp;{{7*7}}"
FORMULA = '=HYPERLINK("http://127.0.0.1:9/?"&A1,"click")'


def first_letter(reply: Reply, sample: Sample) -> Extraction:
    found = reply.text[:1]
    return Extraction(found, "first letter") if found in sample.letters else Extraction(None, "no letter in front")


def lower_too(reply: Reply, sample: Sample) -> Extraction:
    return first_letter(Reply(reply.text[:1].upper()), sample)


def is_gold(found: Extraction, sample: Sample) -> float:
    return float(found.value in sample.golds)


def percent(graded: Sequence[Graded]) -> Mapping[str, float]:
    kinds = dict.fromkeys(one.sample.categories["kind"] for one in graded)
    of_kind = {kind: [one.score for one in graded if one.sample.categories["kind"] == kind] for kind in kinds}
    whole = {"overall": [one.score for one in graded], **of_kind}
    return {name: 100 * sum(scores) / len(scores) for name, scores in whole.items()}


def prompt(sample: Sample) -> tuple[Message, ...]:
    return (Message("user", sample.question),)


LETTERS = Benchmark(
    "Letters",
    "Letters <b>of</b> all kinds",
    "",
    lambda path: (),
    prompt,
    (
        Scoring("official", 1, first_letter, is_gold, percent, about="The first letter."),
        Scoring("lenient", 1, lower_too, is_gold, percent, about="In lower case, too."),
    ),
    targets=(Target("Tiny-1B", 60.0, "a paper"), Target("Tiny-7B", 90.0, "a paper")),
    official_rows=40,
)
KINDS = ("red", "green", "blue")


def samples(count: int = 30, image: bytes = b"") -> list[Sample]:
    return [
        Sample(
            str(place),
            HOSTILE if place == 1 else f"Which one is number {place}?",
            (ImagePart(image),) if image else (),
            ("one", "two"),
            ("A" if place % 2 else "B",),
            categories={"kind": KINDS[place % 3]},
            facts={"box": [10, 10, 40, 30]},
        )
        for place in range(count)
    ]


def record(id_: str, model: str, raw: str, **fields: object) -> Record:
    settled = {"visual_tokens": 64, "completion_tokens": 2, "latency_s": 0.5, **fields}
    return Record(id_, "Letters", model, "key", f"asked about {id_}", raw=raw, **settled)  # type: ignore[arg-type]


def answers(model: str, right: int, *, variant: str = "", image: bytes = b"", **fields: object) -> Answers:
    """The first `right` samples are right; sample 3 failed, 5 says nothing useful, 7 is in lower case and cut."""
    asked = samples(image=image)
    records = {}
    for place, sample in enumerate(asked):
        gold = sample.golds[0]
        raw = gold if place < right else "AB"["BA".index(gold)]
        records[sample.id] = record(sample.id, model, raw, variant=variant, **fields)
    records["1"] = record("1", model, f"A {HOSTILE}", variant=variant)
    records["2"] = record("2", model, FORMULA, variant=variant)
    records["3"] = record("3", model, "", outcome="failed", error="timed out <i>twice</i>", variant=variant)
    records["5"] = record("5", model, "I see a cat", variant=variant)
    records["7"] = record("7", model, "a", finish_reason="length", variant=variant)
    records["8"] = record("8", model, "B <|box_start|>(100,200),(500,600)<|box_end|>", variant=variant)
    return Answers(model, variant, asked, records)


def result(*more: Answers, image: bytes = b"", draws: int = 50) -> Result:
    told = [answers("org/Tiny-1B-Instruct", 20, image=image), answers("other", 12, image=image), *more]
    broken = [DatasetError("letters.tsv:7", "no gold <u>", "one")]
    return make_result(LETTERS, told, samples=samples(image=image), broken=broken, draws=draws)
