"""Controls and sweeps: what is asked in another way, and what is left out of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyres.chat import ImagePart, Message, TextPart, VideoPart
from anyres.errors import OptionError
from anyres.evaluation.benchmark import Extraction, Graded
from anyres.evaluation.metrics.groups import groups_of, share_of_full_groups
from anyres.evaluation.run.variant import PLAIN, Variant, parse_sweep, variant_of
from anyres.evaluation.sample import Sample

PICTURE, CLIP = ImagePart(Path("a.png")), VideoPart(Path("a.mp4"), fps=2.0)
options = st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=8, unique=True)


@st.composite
def choices(draw: st.DrawFn) -> Sample:
    held = draw(options)
    gold = draw(st.integers(0, len(held) - 1))
    return Sample(draw(st.text(max_size=5)), "Which?", options=tuple(held), golds=("ABCDEFGH"[gold],))


def right(sample: Sample) -> str:
    return sample.options[sample.letters.index(sample.golds[0])]


@given(choices())
def test_the_right_option_stays_right_wherever_it_goes(sample: Sample) -> None:
    for control in ("shuffled", "circular"):
        for one in variant_of(control).samples([sample]):
            assert sorted(one.options) == sorted(sample.options)
            assert right(one) == right(sample)
            assert one.id.startswith(f"{sample.id}#{control}")


@given(choices())
def test_shuffled_is_another_order_and_always_the_same(sample: Sample) -> None:
    (one,) = Variant("shuffled").samples([sample])
    assert one.options != sample.options
    assert [one] == list(Variant("shuffled").samples([sample]))


@given(choices())
def test_every_rotation_once_and_every_place_once(sample: Sample) -> None:
    rotations = list(Variant("circular").samples([sample]))
    assert len({one.id for one in rotations}) == len(rotations) == len(sample.options)
    assert rotations[0].options == sample.options
    assert sorted(one.golds[0] for one in rotations) == sorted(sample.letters)


def test_who_always_says_a_is_right_once_in_a_circle() -> None:
    samples = [Sample(str(n), "?", options=("x", "y", "z"), golds=("ABC"[n],)) for n in range(3)]
    rotated = list(Variant("circular").samples(samples))
    graded = [Graded(one, Extraction("A", ""), float(one.golds == ("A",))) for one in rotated]
    assert sum(one.score for one in graded) == 3
    assert share_of_full_groups(groups_of(graded, lambda one: one.id.rpartition("#")[0])) == 0
    assert {one.cluster for one in rotated} == {"0", "1", "2"}


def test_a_gold_that_is_a_text_stays_as_it_is() -> None:
    sample = Sample("1", "?", options=("cat", "dog"), golds=("cat",))
    assert {one.golds for one in Variant("circular").samples([sample])} == {("cat",)}


def test_open_questions_have_no_order_and_what_shows_nothing_is_not_blind() -> None:
    still, choice = Sample("1", "?", media=(PICTURE,)), Sample("2", "?", options=("a", "b"), golds=("A",))
    assert [one.id for one in Variant("blind").samples([still, choice])] == ["1#blind"]
    assert [one.id for one in Variant("shuffled").samples([still, choice])] == ["2#shuffled"]
    assert list(PLAIN.samples([still, choice])) == [still, choice]
    assert list(Variant(knob="max_pixels", value=784).samples([still, choice])) == [still]
    assert list(Variant(knob="nframes", value=8).samples([still, Sample("3", "?", media=(CLIP,))])) == [
        Sample("3", "?", media=(CLIP,))
    ]


def test_blind_takes_pictures_out_of_the_prompt_and_knobs_reach_each() -> None:
    messages = (Message("system", "s"), Message("user", (PICTURE, TextPart("what?"), CLIP)))
    assert [part for one in Variant("blind").messages(messages) for part in one.parts] == [
        TextPart("s"), TextPart("what?")
    ]  # fmt: skip
    (_, fixed) = Variant(knob="pixels", value=50176).messages(messages)
    assert [(part.min_pixels, part.max_pixels) for part in (fixed.parts[0], fixed.parts[2])] == [(50176, 50176)] * 2  # type: ignore[union-attr]
    (_, frames) = Variant(knob="nframes", value=8).messages(messages)
    assert frames.parts[0] == PICTURE
    assert (frames.parts[2].nframes, frames.parts[2].fps) == (8, None)  # type: ignore[union-attr]
    (_, faster) = Variant(knob="fps", value=0.5).messages(messages)
    assert faster.parts[2].fps == 0.5  # type: ignore[union-attr]
    assert PLAIN.messages(messages)[1].parts == messages[1].parts


def test_the_limit_on_the_other_side_gives_way_to_a_knob() -> None:
    """MMBench's official minimum is 78,400 pixels."""
    official = (Message("user", (ImagePart(Path("a.png"), min_pixels=78400),)),)

    def limits(text: str, messages: tuple[Message, ...] = official) -> tuple[object, object]:
        (message,) = variant_of(text).messages(messages)
        (part,) = message.parts
        assert isinstance(part, ImagePart)
        return part.min_pixels, part.max_pixels

    assert limits("max_pixels=25088") == (25088, 25088)
    assert limits("max_pixels=100352") == (78400, 100352)
    bounded = (Message("user", (ImagePart(Path("a.png"), max_pixels=50176),)),)
    assert limits("min_pixels=78400", bounded) == (78400, 78400)
    assert limits("min_pixels=3136", bounded) == (3136, 50176)
    from_checkpoint = (Message("user", (ImagePart(Path("a.png"), max_pixels="checkpoint"),)),)
    assert limits("min_pixels=78400", from_checkpoint) == (78400, "checkpoint")


@pytest.mark.parametrize(
    "text", ["", "blind", "shuffled", "circular", "pixels=50176", "max_pixels=200704", "nframes=8", "fps=0.5"]
)
def test_a_variant_is_read_as_it_is_written(text: str) -> None:
    assert str(variant_of(text)) == text


@pytest.mark.parametrize(
    "text", ["deaf", "max_pixels=", "max_pixels=a", "colour=3", "nframes=1.5", "fps=-1", "fps=inf"]
)
def test_what_is_no_variant_is_named(text: str) -> None:
    with pytest.raises(OptionError):
        variant_of(text)
    if "=" in text:
        with pytest.raises(OptionError, match="--sweep"):
            parse_sweep(text)
