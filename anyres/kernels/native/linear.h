// A linear layer for one instruction set. Each isa_*.cpp defines `Isa` and then includes isa_end.h: everything here is
// in an unnamed namespace, so that no function compiled for one processor can be linked in place of another's.
//
// Isa has the types Ints and Floats (16 lanes each: the rows of a tile), kTokens (tokens of one pass at most),
// kTiles (tiles of one pass), kCentred (8-bit codes are taken minus 128, so 128 times the activations' sum is added), and
// the functions used below. `group` adds the products of one group to
// the whole-number sums.
#include "activations.h"
#include "plan.h"
#include "unroll.h"

namespace anyres {
namespace {

// ---- products

using Ints = Isa::Ints;
using Floats = Isa::Floats;

// A token of the tile, `lanes` rows of it, out of the registers.
void store_row(const Plan &plan, const float *values, int64_t token, int64_t row, int64_t lanes) {
  const AnyresLinear &call = *plan.call;
  const float *bias = plan.weight->bias;
  const int64_t column = plan.first_row + row;
  const int64_t start = token * call.y_stride + column, added = token * call.added_stride + column;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    float value = bias == nullptr ? values[lane] : values[lane] + bias[row + lane];
    if (call.added != nullptr) value += read_value(call.added, call.y_type, added + lane);
    if (call.y_type == TYPE_FLOAT32) {
      memcpy(static_cast<char *>(call.y) + 4 * (start + lane), &value, 4);
    } else {
      const uint16_t half = to_bfloat16(value);
      memcpy(static_cast<char *>(call.y) + 2 * (start + lane), &half, 2);
    }
  }
}

// Where the group g of a tile of T tokens by R tiles is found.
struct Place {
  const Plan &plan;
  int64_t tile, token, g;

  ANYRES_INLINE int64_t of_token(int t) const { return (token + t) * plan.groups + g; }
  ANYRES_INLINE int64_t of_tile(int r) const { return (tile + r) * plan.groups + g; }
};

// The whole-number sums of one group. They live in registers here, so nothing may index them but constants, and nothing
// else may want registers: inlined, GCC stores some of them in every round.
template <int R, int BITS, int... I>
ANYRES_APART void sum_group(const Place &at, const uint8_t *const *codes, const int8_t *const *x, Ints *sums,
                             Each<I...> all) {
  const AnyresWeight &weight = *at.plan.weight;
  constexpr bool centred = BITS == 8 && Isa::kCentred;
  Ints running[] = {Isa::whole(centred ? at.plan.sums[at.of_token(I / R)] : 0)...};
  Isa::group<R, BITS>(running, codes, x, weight.group, weight.bits, all);
  ((sums[I] = running[I]), ...);
}

// The sums of one group, times the steps of codes and activations, added to the totals.
template <int T, int R>
ANYRES_INLINE void add_group(const Place &at, const Ints *sums, float *totals) {
  const AnyresWeight &weight = *at.plan.weight;
  for (int r = 0; r < R; ++r) {
    const Floats scale = Isa::load(weight.scales, at.of_tile(r) * kTileRows, weight.scales_type);
    const Floats minimum = Isa::load(weight.minimums, at.of_tile(r) * kTileRows, weight.minimums_type);
    for (int t = 0; t < T; ++t) {
      const int64_t value_at = at.of_token(t);
      float *total = totals + (t * R + r) * kTileRows;
      const Floats step = Isa::times(scale, at.plan.scales[value_at]);
      const Floats more = Isa::add_product(Isa::load(total, 0, TYPE_FLOAT32), sums[t * R + r], step);
      Isa::store(total, Isa::add_scaled(more, minimum, at.plan.scaled_sums[value_at]));
    }
  }
}

template <int T, int R, int BITS>
void multiply_tile(const Plan &plan, int64_t tile, int64_t token) {
  const AnyresWeight &weight = *plan.weight;
  const int64_t width = weight.group, group_bytes = width * kTileRows / (BITS == 4 ? 2 : 1);
  alignas(64) float totals[T * R * kTileRows] = {};
  for (int64_t g = 0; g < plan.groups; ++g) {
    const Place at = {plan, tile, token, g};
    const uint8_t *codes[R];
    const int8_t *x[T];
    for (int r = 0; r < R; ++r) codes[r] = weight.codes + at.of_tile(r) * group_bytes;
    for (int t = 0; t < T; ++t) x[t] = plan.codes + at.of_token(t) * width;
    Ints sums[T * R];
    sum_group<R, BITS>(at, codes, x, sums, each<T * R>());
    add_group<T, R>(at, sums, totals);
  }
  for (int t = 0; t < T; ++t)
    for (int r = 0; r < R; ++r) {
      const int64_t row = (tile + r) * kTileRows, left = weight.rows - row;
      store_row(plan, totals + (t * R + r) * kTileRows, token + t, row, left < kTileRows ? left : kTileRows);
    }
}

// One token by one tile, with the total in a register: codes are read as one stream, which processors fetch ahead best.
template <int BITS>
void multiply_one(const Plan &plan, int64_t tile, int64_t token) {
  const AnyresWeight &weight = *plan.weight;
  const int64_t width = weight.group, group_bytes = width * kTileRows / (BITS == 4 ? 2 : 1);
  Floats total = Isa::zeros();
  for (int64_t g = 0; g < plan.groups; ++g) {
    const Place at = {plan, tile, token, g};
    const int64_t value_at = at.of_token(0), row_at = at.of_tile(0) * kTileRows;
    const uint8_t *codes = weight.codes + at.of_tile(0) * group_bytes;
    const int8_t *x = plan.codes + value_at * width;
    Ints sum = Isa::whole(BITS == 8 && Isa::kCentred ? plan.sums[value_at] : 0);
    Isa::group<1, BITS>(&sum, &codes, &x, width, weight.bits, each<1>());
    const Floats step = Isa::times(Isa::load(weight.scales, row_at, weight.scales_type), plan.scales[value_at]);
    const Floats minimum = Isa::load(weight.minimums, row_at, weight.minimums_type);
    total = Isa::add_scaled(Isa::add_product(total, sum, step), minimum, plan.scaled_sums[value_at]);
  }
  alignas(64) float totals[kTileRows];
  Isa::store(totals, total);
  const int64_t row = tile * kTileRows, left = weight.rows - row;
  store_row(plan, totals, token, row, left < kTileRows ? left : kTileRows);
}

// A strip of R tiles by all tokens: the strip stays in the cache while the tokens pass.
template <int T, int R, int BITS>
void multiply_strip(const Plan &plan, int64_t tile, int64_t token, int64_t last_token) {
  for (; token + T <= last_token; token += T) multiply_tile<T, R, BITS>(plan, tile, token);
  if constexpr (T > 1)
    if (token < last_token) multiply_strip<T - 1, R, BITS>(plan, tile, token, last_token);
}

template <int T, int R, int BITS>
void multiply_tiles(const Plan &plan, int64_t tile, int64_t last_tile, int64_t token, int64_t last_token) {
  for (; tile + R <= last_tile; tile += R) multiply_strip<T, R, BITS>(plan, tile, token, last_token);
  if constexpr (R > 1)
    for (; tile < last_tile; ++tile) multiply_strip<T, 1, BITS>(plan, tile, token, last_token);
}

template <int BITS>
void multiply_tokens(const Plan &plan, int64_t tile, int64_t last_tile, int64_t token, int64_t last_token) {
  if (last_token - token == 1)
    for (; tile < last_tile; ++tile) multiply_one<BITS>(plan, tile, token);
  else multiply_tiles<Isa::kTokens, Isa::kTiles, BITS>(plan, tile, last_tile, token, last_token);
}

void multiply_panel(const Plan &plan, int64_t panel, int64_t token, int64_t last_token) {
  const int64_t tile = panel * kPanelTiles;
  const int64_t last_tile = tile + kPanelTiles < plan.tiles ? tile + kPanelTiles : plan.tiles;
  switch (plan.weight->bits) {
    case 4: return multiply_tokens<4>(plan, tile, last_tile, token, last_token);
    case 8: return multiply_tokens<8>(plan, tile, last_tile, token, last_token);
    default: return multiply_tokens<7>(plan, tile, last_tile, token, last_token);
  }
}

}  // namespace
}  // namespace anyres
