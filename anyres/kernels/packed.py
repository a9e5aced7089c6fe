"""The one form in which quantised weights are computed with, on disk and in memory, on every CPU.

    w[n, k] = scale[n, g] * code[n, k] + minimum[n, g],    g = k // group,    code an unsigned integer of `bits` bits

int8, int4, GPTQ, AWQ, Q4_0, Q8_0, Q4_K and Q6_K are all of this form.

Codes lie in tiles of 16 rows and 4 columns, a tile 64 bytes: what one AVX-512 register, two AVX2 registers or four NEON
registers hold, and what their dot products of four bytes want. Codes of 4 bits share a byte: the low half belongs to
columns 8j to 8j+3, the high half to columns 8j+4 to 8j+7, so that a mask and a shift unpack two tiles.

Shape letters: N rows (outputs), K columns (inputs), G groups in a row, T tokens, R tiles of 16 rows (ceil(N/16)).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from anyres.errors import CheckpointError, OptionError

__all__ = ["PackedWeight", "dequantize", "from_tensors", "pack", "take_rows", "unpack"]

TILE_ROWS = 16
TILE_COLUMNS = 4
STEP = 2 * TILE_COLUMNS
"""Columns that share their bytes when codes have 4 bits; the width of a group is a multiple of it."""
LONGEST_GROUP = 128
"""Longer groups are cut, so that sums of codes times activations stay exact in float32: 128 * 255 * 127 < 2^24."""
LAYOUT = 1
"""Version of the order above, saved with the codes."""
FLOATS = (torch.float16, torch.float32)


@dataclass(frozen=True)
class PackedWeight:
    """A quantised matrix of `rows` x `columns` in the order of the kernels.

    codes     uint8 [R, columns/8, 64] for 4 bits, [R, columns/4, 64] for 5 to 8 bits (columns rounded up to groups)
    scales    float16 or float32 [R, G, 16]
    minimums  float16 or float32 [R, G, 16]
    """

    bits: int
    group: int
    rows: int
    columns: int
    codes: Tensor
    scales: Tensor
    minimums: Tensor

    @property
    def groups(self) -> int:
        """Groups in a row; `groups * group` columns are stored, those past `columns` with code 0."""
        return -(-self.columns // self.group)

    @property
    def nbytes(self) -> int:
        return sum(x.nbytes for x in (self.codes, self.scales, self.minimums))

    def tensors(self) -> dict[str, Tensor]:
        """What a file has to hold. `from_tensors` takes it back as it is, mapped from a file too."""
        layout = torch.tensor([LAYOUT, self.bits, self.group, self.rows, self.columns], dtype=torch.int64)
        return {"layout": layout, "codes": self.codes, "scales": self.scales, "minimums": self.minimums}


def pack(
    codes_NK: Tensor, scales_NG: Tensor, minimums_NG: Tensor, *, bits: int, group: int | None = None
) -> PackedWeight:
    """Puts codes of 4 to 8 bits into the kernels' order. Scales and minimums keep float16; anything else is float32.

    `group` is the columns of a scale, by default K / G. Where there are several groups it is a multiple of 8; groups
    longer than 128 are cut into equal parts with the same scale, so `packed.group` may be less than what was asked.
    Raises OptionError.

    >>> ones = torch.ones(3, 1)
    >>> packed = pack(torch.arange(24, dtype=torch.uint8).view(3, 8) % 16, ones, -ones, bits=4)
    >>> packed.codes.shape, packed.group
    (torch.Size([1, 1, 64]), 8)
    """
    asked = _asked_group(codes_NK, scales_NG, minimums_NG, bits, group)
    _check_codes(codes_NK, bits)
    rows, columns = codes_NK.shape
    fine = _kernel_group(asked, columns)
    groups = -(-columns // fine)
    scales_NG, minimums_NG = (_cut(x, asked, fine, groups) for x in (scales_NG, minimums_NG))
    codes = _tile_codes(codes_NK, groups * fine, bits)
    return PackedWeight(bits, fine, rows, columns, codes, _tile_rows(scales_NG), _tile_rows(minimums_NG))


def unpack(packed: PackedWeight) -> tuple[Tensor, Tensor, Tensor]:
    """(codes_NK uint8, scales_NG, minimums_NG), the latter for groups of `packed.group` columns."""
    codes_NK = _untile_codes(packed.codes, packed.bits)[: packed.rows, : packed.columns]
    return codes_NK, _untile_rows(packed.scales)[: packed.rows], _untile_rows(packed.minimums)[: packed.rows]


def dequantize(packed: PackedWeight) -> Tensor:
    """w_NK, float32."""
    codes_NK = _untile_codes(packed.codes, packed.bits)
    w_NK = _weights(codes_NK, _untile_rows(packed.scales), _untile_rows(packed.minimums))
    return w_NK[: packed.rows, : packed.columns]


def take_rows(packed: PackedWeight, ids_T: Tensor) -> Tensor:
    """Rows `ids_T` of the matrix, w_TK float32: the lookup of a quantised embedding. Ids are 0 to rows-1."""
    tile_T, place_T = ids_T.div(TILE_ROWS, rounding_mode="floor"), ids_T % TILE_ROWS
    bytes_TSC = packed.codes.unflatten(-1, (TILE_ROWS, TILE_COLUMNS))[tile_T, :, place_T]
    codes_TK = _spread_nibbles(bytes_TSC, packed.bits).flatten(1)
    w_TK = _weights(codes_TK, packed.scales[tile_T, :, place_T], packed.minimums[tile_T, :, place_T])
    return w_TK[:, : packed.columns]


def from_tensors(name: str, tensors: Mapping[str, Tensor]) -> PackedWeight:
    """The weight that `tensors()` described; no byte is copied. Raises CheckpointError(name, ...) for what is unfit."""
    missing = sorted({"layout", "codes", "scales", "minimums"} - set(tensors))
    if missing:
        raise CheckpointError(name, f"no {', '.join(missing)}", "layout, codes, scales and minimums")
    layout = tensors["layout"]
    if layout.dtype != torch.int64 or layout.shape != (5,):
        raise CheckpointError(name, f"layout of {layout.dtype} {list(layout.shape)}", "five numbers of int64")
    version, bits, group, rows, columns = layout.tolist()
    _check_layout(name, version, bits, group, rows, columns)
    packed = PackedWeight(
        bits, group, rows, columns, *(tensors[key].contiguous() for key in ("codes", "scales", "minimums"))
    )
    _check_shapes(name, packed)
    return packed


def _check_layout(name: str, version: int, bits: int, group: int, rows: int, columns: int) -> None:
    if version != LAYOUT:
        raise CheckpointError(name, f"layout {version}", f"layout {LAYOUT}")
    if not 4 <= bits <= 8:
        raise CheckpointError(name, f"{bits} bits", "4 to 8 bits")
    if group % STEP or not 0 < group <= LONGEST_GROUP:
        raise CheckpointError(name, f"groups of {group}", f"a multiple of {STEP} up to {LONGEST_GROUP}")
    if not (0 < rows < 2**31 and 0 < columns < 2**31):
        raise CheckpointError(name, f"{rows} x {columns}", "sizes from 1 to 2^31 - 1")


def _check_shapes(name: str, packed: PackedWeight) -> None:
    tiles, steps = -(-packed.rows // TILE_ROWS), packed.groups * packed.group // (STEP if packed.bits == 4 else 4)
    expected = {
        "codes": (tiles, steps, TILE_ROWS * TILE_COLUMNS),
        "scales": (tiles, packed.groups, TILE_ROWS),
        "minimums": (tiles, packed.groups, TILE_ROWS),
    }
    for key, shape in expected.items():
        tensor: Tensor = getattr(packed, key)
        if tuple(tensor.shape) != shape:
            raise CheckpointError(f"{name}.{key}", f"{list(tensor.shape)}", f"{list(shape)}")
        if tensor.dtype not in ((torch.uint8,) if key == "codes" else FLOATS):
            raise CheckpointError(f"{name}.{key}", str(tensor.dtype), "uint8 codes, float16 or float32 scales")


def _asked_group(codes_NK: Tensor, scales_NG: Tensor, minimums_NG: Tensor, bits: int, group: int | None) -> int:
    """The columns of one scale as the caller means them; raises OptionError where the three do not fit."""
    if codes_NK.dim() != 2 or 0 in codes_NK.shape or codes_NK.dtype != torch.uint8:
        raise OptionError("codes", f"{codes_NK.dtype} {list(codes_NK.shape)}", "uint8 [rows, columns], both above 0")
    if not 4 <= bits <= 8:
        raise OptionError("bits", str(bits), "4 to 8")
    rows, columns = codes_NK.shape
    if scales_NG.dim() != 2 or len(scales_NG) != rows or scales_NG.shape[1] == 0:
        raise OptionError("scales", f"{list(scales_NG.shape)}", f"[{rows}, groups]")
    if minimums_NG.shape != scales_NG.shape:
        raise OptionError("minimums", f"{list(minimums_NG.shape)}", f"{list(scales_NG.shape)}, as scales")
    groups = scales_NG.shape[1]
    asked = group if group is not None else -(-columns // groups)
    if asked < 1 or -(-columns // asked) != groups or (group is None and columns % groups):
        raise OptionError("group", str(asked), f"a width that makes {groups} groups of {columns} columns")
    if groups > 1 and asked % STEP:
        raise OptionError("group", str(asked), f"a multiple of {STEP}")
    return asked


def _check_codes(codes_NK: Tensor, bits: int) -> None:
    if bits < 8 and (highest := int(codes_NK.max())) >= 2**bits:
        raise OptionError("codes", str(highest), f"0 to {2**bits - 1}, as there are {bits} bits")


def _kernel_group(asked: int, columns: int) -> int:
    """A group of at most 128 columns that divides what was asked, or cuts a whole row into nearly equal parts."""
    if asked >= columns:
        parts = -(-columns // LONGEST_GROUP)
        return -(-math.ceil(columns / parts) // STEP) * STEP
    return max(width for width in range(STEP, min(asked, LONGEST_GROUP) + 1, STEP) if asked % width == 0)


def _cut(x_NG: Tensor, asked: int, fine: int, groups: int) -> Tensor:
    """The values of `groups` groups of `fine` columns, from those of groups of `asked`."""
    kept = x_NG if x_NG.dtype == torch.float16 else x_NG.float()
    if x_NG.shape[1] == 1:
        return kept.expand(-1, groups)
    return kept.repeat_interleave(asked // fine, dim=1)[:, :groups]


def _tile_codes(codes_NK: Tensor, stored: int, bits: int) -> Tensor:
    rows, columns = codes_NK.shape
    padded_NK = F.pad(codes_NK, (0, stored - columns, 0, -rows % TILE_ROWS))
    split: Tensor = padded_NK.unflatten(0, (-1, TILE_ROWS)).unflatten(2, (-1, TILE_COLUMNS))
    tiles = split.transpose(1, 2).flatten(2)
    if bits > 4:
        return tiles.contiguous()
    return tiles[:, 0::2] | (tiles[:, 1::2] << 4)


def _untile_codes(codes: Tensor, bits: int) -> Tensor:
    tiles = codes.unflatten(-1, (TILE_ROWS, TILE_COLUMNS))
    return _spread_nibbles(tiles.transpose(1, 2), bits).flatten(2).flatten(0, 1)


def _spread_nibbles(bytes_SC: Tensor, bits: int) -> Tensor:
    """Steps of 4 bytes [..., S, 4] to codes [..., S, 4] or, for 4 bits, [..., 2S, 4]."""
    if bits > 4:
        return bytes_SC
    return torch.stack((bytes_SC & 15, bytes_SC >> 4), dim=-2).flatten(-3, -2)


def _tile_rows(x_NG: Tensor) -> Tensor:
    """[N, G] to [R, G, 16]."""
    padded_NG = F.pad(x_NG, (0, 0, 0, -len(x_NG) % TILE_ROWS))
    tiles: Tensor = padded_NG.unflatten(0, (-1, TILE_ROWS))
    return tiles.transpose(1, 2).contiguous()


def _untile_rows(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(0, 1)


def _weights(codes_NK: Tensor, scales_NG: Tensor, minimums_NG: Tensor) -> Tensor:
    codes_NGS: Tensor = codes_NK.float().unflatten(-1, (scales_NG.shape[-1], -1))
    return (codes_NGS * scales_NG.float()[..., None] + minimums_NG.float()[..., None]).flatten(1)
