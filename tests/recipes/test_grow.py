"""recipes/tiny/grow.py: the grown model says what the small one says."""

from pathlib import Path

import pytest
import torch

import anyres
from anyres.errors import CheckpointError
from anyres.model.language import CausalAttention
from anyres.model.qwen2vl import Qwen2VL
from anyres.model.weights import load_model
from anyres.model_input import ModelInput
from anyres.processing.tokenizer import Tokenizer, byte_alphabet, tokenizer_spec
from recipes.tiny import grow as grow_module
from recipes.tiny.grow import grow, grown_layers
from recipes.tiny.scale import SCALES, new_model, write_start
from recipes.tiny.vocabulary import SPECIAL_TOKENS, merges_of

CHECKPOINT = Path(anyres.__file__).parent / "checkpoints" / "tiny"
PICTURE = Path(__file__).parents[2] / "examples" / "scan_portuguese.png"


@pytest.fixture(scope="module")
def small() -> Qwen2VL:
    return load_model(CHECKPOINT, dtype=torch.float32)


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return Tokenizer.from_folder(CHECKPOINT)


def started(folder: Path) -> Qwen2VL:
    """A fresh model of the shape of version 1 with the small vocabulary."""
    write_start(folder, SCALES["version-1"], tokenizer=CHECKPOINT)
    return new_model(folder)


def test_the_logits_of_a_prompt_with_a_picture(tmp_path: Path, small: Qwen2VL, words: Tokenizer) -> None:
    model = started(tmp_path)
    grow(small, model, words, words)
    prompt = anyres.load("tiny").processor.prepare(
        [anyres.Message("user", [anyres.ImagePart(PICTURE), anyres.TextPart("Read the text.")])]
    )
    expected, seen = logits_of(small, prompt), logits_of(model, prompt)
    assert float(expected.std()) > 1
    assert float((seen - expected).abs().max()) < 2e-4 * float(expected.abs().max())


@torch.no_grad()
def logits_of(model: Qwen2VL, prompt: ModelInput) -> torch.Tensor:
    (visual,) = prompt.visuals
    embeds_TD = model.embed(prompt.token_ids_T, model.encode(visual.patches(), [visual.grid_thw]))
    attend = CausalAttention([len(embeds_TD)])
    return model.head(model(embeds_TD, prompt.positions_3T, attend))


def test_gradients_reach_what_is_new(tmp_path: Path, small: Qwen2VL, words: Tokenizer) -> None:
    """Zeros that meet zeros would stay so for ever: of every new block one side is random."""
    model = started(tmp_path)
    grow(small, model, words, words)
    ids_T = torch.arange(40)
    attend = CausalAttention([40])
    logits = model.head(model(model.embed(ids_T), torch.arange(40).expand(3, 40), attend))
    torch.nn.functional.cross_entropy(logits, ids_T.roll(3)).backward()
    old = small.config.text.hidden_size
    layer = model.model.layers[4]
    assert float(layer.self_attn.o_proj.weight.grad[old:].abs().max()) > 0
    assert float(layer.mlp.down_proj.weight.grad[old:].abs().max()) > 0
    assert float(model.model.embed_tokens.weight.grad[:, old:].abs().max()) > 0
    slow = slice(16, 32)
    assert float(layer.self_attn.q_proj.weight.grad[slow].abs().max()) > 0
    assert float(model.model.layers[2].self_attn.o_proj.weight.grad.abs().max()) > 0, "a new layer"


def test_new_tokens_begin_as_their_pieces(tmp_path: Path, small: Qwen2VL, words: Tokenizer) -> None:
    """As if the checkpoint had known only the first 600 ranks of its vocabulary."""
    few = first_ranks(words, 600)
    model = started(tmp_path)
    grow(small, model, few, words)
    table_VD, small_VD = model.model.embed_tokens.weight.detach(), small.model.embed_tokens.weight.detach()
    new = dict(grow_module._new_tokens(words, few))
    assert len(new) > 1000
    for token_id, pieces in new.items():
        assert b"".join(few.token_bytes(piece) for piece in pieces) == words.token_bytes(token_id)
        expected = grow_module.NEW_TOKENS * small_VD[pieces].mean(0)
        torch.testing.assert_close(table_VD[token_id, : len(expected)], expected)
    for token in (b"a", b" t", b"in"):
        token_id = next(one for one in range(600) if words.token_bytes(one) == token)
        assert torch.equal(table_VD[token_id, : small_VD.shape[1]], small_VD[token_id])
    end = words.special_id("<|im_end|>"), few.special_id("<|im_end|>")
    assert end == (2050, 602)
    assert torch.equal(table_VD[end[0], : small_VD.shape[1]], small_VD[end[1]])


def first_ranks(words: Tokenizer, size: int) -> Tokenizer:
    ranks = [words.token_bytes(rank) for rank in range(size)]
    alphabet = byte_alphabet()
    spelled = ["".join(alphabet[value] for value in token) for token in ranks]
    merges = [" ".join("".join(alphabet[value] for value in part) for part in pair) for pair in merges_of(ranks)]
    special = {token: size + number for number, token in enumerate(SPECIAL_TOKENS)}
    return Tokenizer(tokenizer_spec({one: rank for rank, one in enumerate(spelled)}, merges, special))


@pytest.mark.parametrize(("small_layers", "large", "expected"), [(6, 10, [0, 1, 2, 7, 8, 9]), (3, 3, [0, 1, 2])])
def test_layers_keep_their_order(small_layers: int, large: int, expected: list[int]) -> None:
    assert list(grown_layers(small_layers, large).values()) == expected


def test_a_model_of_another_kind_is_refused(tmp_path: Path, small: Qwen2VL, words: Tokenizer) -> None:
    write_start(tmp_path, SCALES["smoke"], tokenizer=CHECKPOINT)
    with pytest.raises(CheckpointError, match=r"vision width: 64; .*192"):
        grow(small, new_model(tmp_path), words, words)


def test_the_command_writes_what_the_course_starts_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["grow", str(CHECKPOINT), str(tmp_path / "grown"), "--tokenizer", str(CHECKPOINT)])
    grow_module.main()
    model, small = (anyres.load(one, dtype="float32") for one in (tmp_path / "grown", "tiny"))
    limit = small.processor.image_config.max_pixels  # its own limit is larger
    answers = [one.ask(PICTURE, "Read the text.", max_pixels=limit).text for one in (model, small)]
    assert answers[0] == answers[1]
    assert len(answers[0]) > 20
    assert new_model(tmp_path / "grown", weights=tmp_path / "grown").config == model.config
