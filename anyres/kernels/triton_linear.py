# mypy: disable-error-code="no-untyped-def, untyped-decorator, misc"
"""Products with packed weights, in Triton. What they are for and how they are called is in cuda.py.

A word is four bytes of a tile: 8 codes of 4 bits or 4 codes of 5 to 8 bits, all of one row and one group. The 16 words
of a step lie side by side and the steps of a tile one behind the other (packed.py), so what a program reads is in one
piece, in the order in which it is on disk. The code of column i of a word begins at bit 8 (i % 4) + 4 (i // 4).

Shape letters as in packed.py, and S steps, I the 16 rows of a tile, C codes of a word.
"""

import triton
import triton.language as tl
from triton import knobs
from triton.errors import TritonError

__all__ = ["INTERPRETED", "TritonError", "add_splits", "many_tokens", "one_token"]

INTERPRETED = knobs.runtime.interpret


@triton.jit(do_not_specialize=["split_steps"])
def one_token(
    x,
    words,
    scales,
    minimums,
    bias,
    out,
    rows,
    columns,
    groups,
    steps,
    split_steps,
    HELD: tl.constexpr,  # codes of a word
    GROUP: tl.constexpr,  # columns of a scale
    BIASED: tl.constexpr,
    STEPS: tl.constexpr,  # read at a time
):
    """Tile program_id(0), steps of split program_id(1): each code is read once, and multiplied in float32.

    Two axes only: with one of tokens beside them, Triton chooses layouts that take twice the instructions a code.
    """
    tile = tl.program_id(0).to(tl.int64)
    split = tl.program_id(1)
    row_I = tl.arange(0, 16)
    words += tile * steps * 16
    scales += tile * groups * 16
    minimums += tile * groups * 16
    first = split * split_steps
    last = tl.minimum(first + split_steps, steps)
    sums_SI = tl.zeros((STEPS, 16), tl.float32)
    for start in tl.range(first, last, STEPS, num_stages=3):
        s_S = start + tl.arange(0, STEPS)
        kept_S = s_S < last
        at_SI = (s_S * HELD // GROUP * 16)[:, None] + row_I[None, :]
        word_SI = tl.load(words + s_S[:, None] * 16 + row_I[None, :], mask=kept_S[:, None], other=0)
        scale_SI = tl.load(scales + at_SI, mask=kept_S[:, None], other=0).to(tl.float32)
        minimum_SI = tl.load(minimums + at_SI, mask=kept_S[:, None], other=0).to(tl.float32)
        for i in tl.static_range(HELD):
            k_S = s_S * HELD + i
            x_S = tl.load(x + k_S, mask=kept_S & (k_S < columns), other=0).to(tl.float32)
            code_SI = (word_SI >> (8 * (i % 4) + 4 * (i // 4))) & (15 if HELD == 8 else 255)
            sums_SI += x_S[:, None] * (code_SI.to(tl.float32) * scale_SI + minimum_SI)
    y_I = tl.sum(sums_SI, axis=0)
    n_I = tile * 16 + row_I
    if BIASED:
        y_I += tl.load(bias + n_I, mask=n_I < rows, other=0).to(tl.float32)
    tl.store(out + split.to(tl.int64) * rows + n_I, y_I, mask=n_I < rows)


@triton.jit(do_not_specialize=["tokens", "split_steps"])
def many_tokens(
    x,
    words,
    scales,
    minimums,
    bias,
    out,
    tokens,
    rows,
    columns,
    groups,
    steps,
    split_steps,
    x_stride,
    HELD: tl.constexpr,
    GROUP: tl.constexpr,
    BIASED: tl.constexpr,
    TOKENS: tl.constexpr,  # of one program
    STEPS: tl.constexpr,
    TILES: tl.constexpr,  # of one program
    WIDEN: tl.constexpr,  # operands to float32: Triton's interpreter takes bfloat16 for whole numbers
):
    """TILES tiles, TOKENS tokens, one split: weights are dequantised to the kind of x, sums are float32."""
    tile_R = tl.program_id(0).to(tl.int64) * TILES + tl.arange(0, TILES)
    t_T = tl.program_id(1).to(tl.int64) * TOKENS + tl.arange(0, TOKENS)
    split = tl.program_id(2)
    row_I = tl.arange(0, 16)
    code_C = tl.arange(0, HELD)
    shift_C = 8 * (code_C % 4) + 4 * (code_C // 4)
    real_R11 = (tile_R * 16 < rows)[:, None, None]
    scale_R1I = (tile_R * groups * 16)[:, None, None] + row_I[None, None, :]
    word_R1I = (tile_R * steps * 16)[:, None, None] + row_I[None, None, :]
    first = split * split_steps
    last = tl.minimum(first + split_steps, steps)
    end = tl.minimum(columns, last * HELD)
    sums_TN = tl.zeros((TOKENS, TILES * 16), tl.float32)
    for start in tl.range(first, last, STEPS):
        s_1S1 = start + tl.arange(0, STEPS)[None, :, None]
        kept_RS1 = real_R11 & (s_1S1 < last)
        at_RSI = scale_R1I + s_1S1 * HELD // GROUP * 16
        word_RSI = tl.load(words + word_R1I + s_1S1 * 16, mask=kept_RS1, other=0)
        scale_RSI = tl.load(scales + at_RSI, mask=kept_RS1, other=0).to(tl.float32)
        minimum_RSI = tl.load(minimums + at_RSI, mask=kept_RS1, other=0).to(tl.float32)
        code_RSIC = (word_RSI[:, :, :, None] >> shift_C[None, None, None, :]) & (15 if HELD == 8 else 255)
        w_RSIC = code_RSIC.to(tl.float32) * scale_RSI[:, :, :, None] + minimum_RSI[:, :, :, None]
        w_SCRI = tl.permute(w_RSIC.to(x.dtype.element_ty), (1, 3, 0, 2))
        w_KN = tl.reshape(w_SCRI, (STEPS * HELD, TILES * 16))
        k_K = start * HELD + tl.arange(0, STEPS * HELD)
        used_TK = (t_T < tokens)[:, None] & (k_K < end)[None, :]
        x_TK = tl.load(x + t_T[:, None] * x_stride + k_K[None, :], mask=used_TK, other=0)
        if WIDEN:
            x_TK, w_KN = x_TK.to(tl.float32), w_KN.to(tl.float32)
        sums_TN = tl.dot(x_TK, w_KN, sums_TN, input_precision="ieee")
    n_N = tl.program_id(0).to(tl.int64) * TILES * 16 + tl.arange(0, TILES * 16)
    if BIASED:
        sums_TN += tl.load(bias + n_N, mask=n_N < rows, other=0).to(tl.float32)[None, :]
    out += split.to(tl.int64) * tokens * rows
    tl.store(out + t_T[:, None] * rows + n_N[None, :], sums_TN, mask=(t_T < tokens)[:, None] & (n_N < rows)[None, :])


@triton.jit(do_not_specialize=["splits"])
def add_splits(parts, bias, out, values, rows, splits, BIASED: tl.constexpr, VALUES: tl.constexpr):
    """`values` sums of `splits` parts, always in the same order, so that a product gives the same bits each time."""
    at_V = tl.program_id(0).to(tl.int64) * VALUES + tl.arange(0, VALUES)
    real_V = at_V < values
    y_V = tl.zeros((VALUES,), tl.float32)
    for _ in range(splits):
        y_V += tl.load(parts + at_V, mask=real_V, other=0)
        parts += values
    if BIASED:
        y_V += tl.load(bias + at_V % rows, mask=real_V, other=0).to(tl.float32)
    tl.store(out + at_V, y_V, mask=real_V)
