"""Names of blocks: equal where keys and values are, and nowhere else."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from anyres.engine.prefix import PrefixNames, items_of, positions_of
from anyres.model_input import ModelInput, VisualInput
from tests.oracle import SPECIAL_IDS, picture, prompt, tiny_config

CONFIG = tiny_config()
PADS = (SPECIAL_IDS["<|image_pad|>"], SPECIAL_IDS["<|video_pad|>"])


def names_of(one: ModelInput, *, answer: list[int] | None = None, size: int = 4, salt: bytes = b"") -> list[bytes]:
    """Of all full blocks."""
    names = PrefixNames(one, items_of(one, PADS, 4), answer or [], block_size=size, salt=salt)
    return [names(i) for i in range((len(one.token_ids_T) + len(answer or [])) // size)]


def common(one: list[bytes], other: list[bytes]) -> int:
    """Leading names that are equal. Behind the first difference none may be."""
    same = [a == b for a, b in zip(one, other, strict=False)]
    count = same.index(False) if False in same else len(same)
    assert not any(same[count:])
    return count


def test_items_stand_where_their_placeholders_do() -> None:
    image, clip = picture(CONFIG, (1, 4, 6), seed=1), picture(CONFIG, (3, 2, 4), seed=2, kind="video")
    ready = VisualInput("ready", "image", (1, 2, 2), (28, 28), (28, 28), visual_MD=torch.ones(1, 64))
    one = prompt(CONFIG, [4, image, clip, 2, ready, 5])
    items = items_of(one, PADS, 4)
    assert [(item.start, item.stop, item.parts, item.patches) for item in items] == [
        (5, 11, 1, 24),
        (13, 19, 3, 8),
        (23, 24, 0, 4),
    ]
    assert [item.key for item in items] == [visual.content_key for visual in one.visuals]
    assert items_of(prompt(CONFIG, [3]), PADS, 4) == ()


def test_items_may_follow_each_other_without_a_mark() -> None:
    """Frame pairs of a clip that grows are items of their own."""
    pair = picture(CONFIG, (1, 2, 4), seed=1, kind="video")
    one = prompt(CONFIG, [2, picture(CONFIG, (3, 2, 4), seed=1, kind="video"), 2])
    items = items_of(replace(one, visuals=(pair,) * 3), PADS, 4)
    assert [(item.start, item.stop) for item in items] == [(3, 5), (5, 7), (7, 9)]


def test_placeholders_without_a_picture_are_our_mistake() -> None:
    one = prompt(CONFIG, [2, picture(CONFIG, (1, 2, 4)), 2])
    with pytest.raises(AssertionError, match="differ in number"):
        items_of(replace(one, visuals=()), PADS, 4)


def test_positions_go_on_behind_the_prompt() -> None:
    """A clip of 4 frame pairs of one token each takes 4 positions, a picture of 2x2 tokens takes 2."""
    one = prompt(CONFIG, [3, picture(CONFIG, (4, 2, 2), kind="video"), 2, picture(CONFIG, (1, 4, 4)), 1])
    length = len(one.token_ids_T)
    assert positions_of(one, length, length + 2).tolist() == [[16, 17]] * 3
    joined_3T = positions_of(one, 5, length + 1)
    assert torch.equal(joined_3T[:, :-1], one.positions_3T[:, 5:])
    assert joined_3T[:, -1].tolist() == [16] * 3
    assert positions_of(one, 2, 4).shape == (3, 2)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    at=st.integers(0, 40),
    size=st.integers(1, 7),
    told=st.integers(0, 9),
)
def test_a_change_of_one_id_changes_the_names_from_its_block_on(
    lengths: list[int], at: int, size: int, told: int
) -> None:
    layout = [part for length in lengths for part in (length, picture(CONFIG, (1, 2, 4), seed=length))]
    one = prompt(CONFIG, layout)
    answer = list(range(told))
    length = len(one.token_ids_T)
    at %= length + told
    names = names_of(one, answer=answer, size=size)
    assert len(set(names)) == len(names)
    assert names_of(one, answer=list(answer), size=size) == names
    if at < length and int(one.token_ids_T[at]) not in PADS:
        ids_T = one.token_ids_T.clone()
        ids_T[at] += 1 if int(ids_T[at]) + 1 not in PADS else 5
        assert common(names_of(replace(one, token_ids_T=ids_T), answer=answer, size=size), names) == at // size
    elif at >= length:
        answer[at - length] += 100
        assert common(names_of(one, answer=answer, size=size), names) == at // size


def test_an_answer_is_named_like_the_prompt_it_becomes() -> None:
    """The next turn of a conversation finds the answer of the last one."""
    one = prompt(CONFIG, [3, picture(CONFIG, (1, 4, 4)), 4])
    told = [7, 8, 9, 10, 11, 12]
    later = replace(
        one,
        token_ids_T=torch.cat([one.token_ids_T, torch.tensor(told)]),
        positions_3T=positions_of(one, 0, len(one.token_ids_T) + 6),
    )
    assert names_of(one, answer=told) == names_of(later)


def test_pictures_that_differ_share_only_what_stands_before_them() -> None:
    def asked(visual: VisualInput) -> list[bytes]:
        return names_of(prompt(CONFIG, [9, visual, 9]))

    first = picture(CONFIG, (1, 4, 6), seed=1)
    other, turned = picture(CONFIG, (1, 4, 6), seed=2), replace(first, grid_thw=(1, 6, 4))
    pixels_PX = first.pixels_PX.clone()
    pixels_PX[-1, -1] += 1e-6
    for visual in (other, turned, replace(first, pixels_PX=pixels_PX), replace(first, kind="video")):
        assert common(asked(visual), asked(first)) == 2, "the start mark and one id more stand in block 2"
    assert asked(replace(first, name="another file")) == asked(first)


def test_the_same_picture_elsewhere_is_another_beginning() -> None:
    image = picture(CONFIG, (1, 4, 6))
    assert common(names_of(prompt(CONFIG, [9, image])), names_of(prompt(CONFIG, [8, image]))) == 2


def test_positions_are_part_of_a_name() -> None:
    """As when another reading of the rules, or of a clip's rate, gives the same ids."""
    one = prompt(CONFIG, [20])
    later_3T = one.positions_3T.clone()
    later_3T[0, 9:] += 1
    assert common(names_of(replace(one, positions_3T=later_3T)), names_of(one)) == 2


def test_salted_prompts_share_nothing() -> None:
    one = prompt(CONFIG, [20])
    assert common(names_of(one, salt=b"alice"), names_of(one)) == 0
    assert common(names_of(one, salt=b"alice"), names_of(one, salt=b"bob")) == 0
    assert names_of(one, salt=b"alice") == names_of(one, salt=b"alice")
