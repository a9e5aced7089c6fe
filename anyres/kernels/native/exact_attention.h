// Attention in float32 for one instruction set, keys and values in float32, bfloat16 or 8 bits; included after attention.h.
//
// A row is one query of one head; the heads that share a key head lie side by side as rows. An item of work takes up to
// kRows rows through their keys, kPlaces at a time: keys are turned so that 16 of them fill a register, and the softmax
// keeps the largest score so far. Where many items share keys and values these are turned and read once, before.
// What a row comes out as depends on its own query, keys and values alone: the same bits
// whether it is decoded or read with a whole prompt, alone or among others.
#include "plan.h"

namespace anyres {
namespace {

constexpr float kLowest = -3.4028235e38f;

struct ExactState {
  float largest[kRows];  // score so far, in powers of two
  float total[kRows];    // of the weights so far
  alignas(64) float queries[kRows][kWidest];
  alignas(64) float out[kRows][kWidest];
  alignas(64) float scores[kRows][kPlaces];
  alignas(64) float keys[kWidest * kPlaces];  // turned
  alignas(64) float read[kPlaces * kWidest];  // keys, and then values, that are not float32 where they lie
  const float *turned[kWidest];
  const float *rows[kPlaces];
};

// ---- keys and values as float32

Floats read_floats(const char *values, int32_t type, int64_t index, float scale) {
  if (type == TYPE_FLOAT32) return Isa::load(values, index, TYPE_FLOAT32);
  if (type == TYPE_BFLOAT16) return Isa::load_bfloat16(values + 2 * index);
  return Isa::times(Isa::load_int8(values + index), scale);
}

void read_row(const char *values, int32_t type, int64_t width, float scale, float *to) {
  int64_t c = 0;
  for (; c + kTileRows <= width; c += kTileRows) Isa::store(to + c, read_floats(values, type, c, scale));
  if (c == width) return;
  char rest[kTileRows * 4] = {};
  const int64_t bytes = type == TYPE_FLOAT32 ? 4 : type == TYPE_BFLOAT16 ? 2 : 1;
  memcpy(rest, values + c * bytes, size_t((width - c) * bytes));
  Isa::store(to + c, read_floats(rest, type, 0, scale));
}

// Points `rows` at keys or values `place` to `place + count - 1`; those that are not usable where they lie are read.
void find_rows(const ExactPlan &plan, const Places &places, int64_t place, int64_t count, float *read,
               const float **rows) {
  const bool usable = places.type == TYPE_FLOAT32 && plan.width % kTileRows == 0;
  for (int64_t s = 0; s < count; ++s) {
    const int64_t at = places.at(place + s);
    const char *row = places.values + at * places.row_bytes;
    if (usable) {
      rows[s] = reinterpret_cast<const float *>(row);
      continue;
    }
    read_row(row, places.type, plan.width, places.scales == nullptr ? 1.0f : places.scales[at], read);
    rows[s] = read;
    read += plan.channels;
  }
}

// to[channel][place], of which those past `count` are seen by no row.
void turn_keys(const ExactPlan &plan, const float **rows, int64_t count, float *to) {
  const int64_t stored = (count + kTileRows - 1) / kTileRows * kTileRows;
  for (int64_t s = count; s < stored; ++s) rows[s] = rows[0];
  for (int64_t s = 0; s < stored; s += kTileRows)
    for (int64_t c = 0; c < plan.channels; c += kTileRows) Isa::turn(rows + s, c, to + c * kPlaces + s, kPlaces);
}

// Keys and values of one block into the memory that the items of a sequence and head share.
void read_block(const ExactPlan &plan, const ExactItem &item, int64_t block, int64_t count) {
  float read[kPlaces * kWidest];
  const float *rows[kPlaces];
  float *keys = item.shared + block * plan.block_floats(), *values = keys + plan.channels * kPlaces;
  find_rows(plan, item.keys, block * kPlaces, count, read, rows);
  turn_keys(plan, rows, count, keys);
  find_rows(plan, item.values, block * kPlaces, count, read, rows);
  for (int64_t s = 0; s < count; ++s) memcpy(values + s * plan.channels, rows[s], size_t(plan.channels) * 4);
}

// ---- products

// Sums over `depth` of x[t][k] * rows[k][column + 16 r], for T rows of x, STRIDE apart, and R tiles.
template <int R, int STRIDE, int... I>
ANYRES_APART void sum_floats(const float *const *rows, int64_t column, const float *x, int64_t depth, float *out,
                             int64_t stride, bool fresh, Each<I...>) {
  Floats sums[] = {(fresh ? Isa::zeros() : Isa::load(out + (I / R) * stride + (I % R) * kTileRows, 0, TYPE_FLOAT32))...};
  for (int64_t k = 0; k < depth; ++k) {
    const float *row = rows[k] + column;
    ((sums[I] = Isa::add_scaled(sums[I], Isa::load(row + (I % R) * kTileRows, 0, TYPE_FLOAT32),
                                x[I / R * STRIDE + k])),
     ...);
  }
  (Isa::store(out + (I / R) * stride + (I % R) * kTileRows, sums[I]), ...);
}

struct Product {
  const float *const *rows;
  int64_t tiles, depth;
  const float *x;
  float *out;
  int64_t out_stride;
  bool fresh;
};

template <int T, int STRIDE>
void multiply_floats(const Product &of, int64_t t, int64_t last) {
  for (; t + T <= last; t += T) {
    int64_t tile = 0;
    const auto some = [&](auto count) {
      constexpr int R = decltype(count)::value;
      for (; tile + R <= of.tiles; tile += R)
        sum_floats<R, STRIDE>(of.rows, tile * kTileRows, of.x + t * STRIDE, of.depth,
                              of.out + t * of.out_stride + tile * kTileRows, of.out_stride, of.fresh, each<T * R>());
    };
    some(std::integral_constant<int, Isa::kFloatTiles>{});
    if constexpr (Isa::kFloatTiles > 1) some(std::integral_constant<int, 1>{});
  }
  if constexpr (T > 1)
    if (t < last) multiply_floats<T - 1, STRIDE>(of, t, last);
}

// ---- softmax, block by block

float largest_score(const float *scores, int64_t count, float largest) {
  Floats lanes = Isa::load(scores, 0, TYPE_FLOAT32);
  for (int64_t s = kTileRows; s < count; s += kTileRows)
    lanes = Isa::larger(Isa::load(scores, s, TYPE_FLOAT32), lanes);
  const float found = Isa::largest(lanes);
  return found > largest ? found : largest;
}

// Turns the scores of row t, who sees the first `seen` places of the block, into weights.
void weigh_row(ExactState &state, int64_t t, int64_t seen, int64_t stored, int64_t channels) {
  float *scores = state.scores[t];
  seen = seen < 0 ? 0 : seen;
  for (int64_t s = seen; s < stored; ++s) scores[s] = kLowest;
  if (seen > 0) {
    const float largest = largest_score(scores, stored, state.largest[t]);
    if (largest > state.largest[t]) {
      const float shrunk = power_of_two(state.largest[t] - largest);
      state.total[t] *= shrunk;
      for (int64_t c = 0; c < channels; ++c) state.out[t][c] *= shrunk;
      state.largest[t] = largest;
    }
    for (int64_t s = 0; s < stored; ++s) scores[s] = power_of_two(scores[s] - largest);
  }
  for (int64_t s = seen; s < stored; ++s) scores[s] = 0.0f;
  Floats lanes = Isa::load(scores, 0, TYPE_FLOAT32);
  for (int64_t s = kTileRows; s < stored; s += kTileRows) lanes = Isa::plus(lanes, Isa::load(scores, s, TYPE_FLOAT32));
  state.total[t] += Isa::sum(lanes);
}

// ---- the item of work

void start_rows(const ExactPlan &plan, ExactState &state, const ExactItem &item) {
  for (int64_t t = 0; t < item.rows; ++t) {
    read_row(plan.query_at(item, t), plan.type, plan.width, 1.0f, state.queries[t]);
    for (int64_t c = 0; c < plan.channels; ++c) state.queries[t][c] *= plan.scale * 1.44269504f;  // log2(e)
    state.largest[t] = kLowest;
    state.total[t] = 0.0f;
    memset(state.out[t], 0, size_t(plan.channels) * 4);
  }
}

void finish_rows(const ExactPlan &plan, const ExactState &state, const ExactItem &item) {
  for (int64_t t = 0; t < item.rows; ++t) {
    char *to = plan.out_at(item, t);
    for (int64_t c = 0; c < plan.width; ++c) {
      const float value = state.out[t][c] / state.total[t];
      if (plan.type == TYPE_FLOAT32) {
        memcpy(to + 4 * c, &value, 4);
      } else {
        const uint16_t half = to_bfloat16(value);
        memcpy(to + 2 * c, &half, 2);
      }
    }
  }
}

// Where the turned keys of a block are found; its values come after the scores, for both may be read to one place.
void find_keys(const ExactPlan &plan, ExactState &state, const ExactItem &item, int64_t place, int64_t count) {
  const float *keys = state.keys;
  if (item.shared != nullptr) {
    keys = item.shared + place / kPlaces * plan.block_floats();
  } else {
    find_rows(plan, item.keys, place, count, state.read, state.rows);
    turn_keys(plan, state.rows, count, state.keys);
  }
  for (int64_t c = 0; c < plan.channels; ++c) state.turned[c] = keys + c * kPlaces;
}

void find_values(const ExactPlan &plan, ExactState &state, const ExactItem &item, int64_t place, int64_t count) {
  if (item.shared == nullptr) return find_rows(plan, item.values, place, count, state.read, state.rows);
  const float *values = item.shared + place / kPlaces * plan.block_floats() + plan.channels * kPlaces;
  for (int64_t s = 0; s < count; ++s) state.rows[s] = values + s * plan.channels;
}

void attend_exactly(const ExactPlan &plan, const ExactItem &item) {
  ExactState state;
  start_rows(plan, state, item);
  const int64_t visible = item.seen_by(item.rows - 1);
  for (int64_t place = 0; place < visible; place += kPlaces) {
    const int64_t count = visible - place < kPlaces ? visible - place : kPlaces;
    const int64_t tiles = (count + kTileRows - 1) / kTileRows, columns = plan.channels / kTileRows;
    find_keys(plan, state, item, place, count);
    const Product scores = {state.turned, tiles, plan.width, state.queries[0], state.scores[0], kPlaces, true};
    multiply_floats<Isa::kFloatTokens, kWidest>(scores, 0, item.rows);
    for (int64_t t = 0; t < item.rows; ++t)
      weigh_row(state, t, item.seen_by(t) - place, tiles * kTileRows, plan.channels);
    find_values(plan, state, item, place, count);
    const Product values = {state.rows, columns, count, state.scores[0], state.out[0], kWidest, false};
    multiply_floats<Isa::kFloatTokens, kPlaces>(values, 0, item.rows);
  }
  finish_rows(plan, state, item);
}

}  // namespace
}  // namespace anyres
