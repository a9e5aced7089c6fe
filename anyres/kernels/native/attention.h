// Attention for one instruction set, with scores and sums of values as whole numbers; included after linear.h.
//
// Queries, keys and values are rounded to 8 bits: queries and keys a token, values a channel and block of 64 keys. The
// mean key is taken off first: it moves all scores of a query by the same amount, which the softmax ignores. The softmax
// runs block by block with the largest score so far; the weights of a block are rounded to 127ths of its largest one.
#include "plan.h"

namespace anyres {
namespace {

constexpr float kHidden = -1e30f;  // the score of a key that a query does not see

float nan_or_zero(bool broken) { return broken ? __builtin_nanf("") : 0.0f; }

// Rounds `count` values to whole numbers from -127 to 127; returns the value of a 1, NaN where a value is not finite.
float round_values(const float *values, int64_t count, int8_t *codes, int32_t *sum) {
  const uint32_t bits = largest_bits(values, count);
  float largest;
  memcpy(&largest, &bits, 4);
  if (bits < kInfinity && largest >= kSmallest) {
    *sum = round_codes(values, count, 127.0f / largest, codes);
    return largest / 127.0f;
  }
  memset(codes, 0, size_t(count));
  *sum = 0;
  return nan_or_zero(bits >= kInfinity);
}

void read_head(const void *from, int32_t type, int64_t at, int64_t width, int64_t padded, float *values) {
  for (int64_t c = 0; c < width; ++c) values[c] = read_value(from, type, at + c);
  for (int64_t c = width; c < padded; ++c) values[c] = 0.0f;
}

// ---- keys and values into tiles

void pack_keys(const AttentionPlan &plan, const PackedHead &packed, int64_t first, int64_t count, int64_t kv_head) {
  const AnyresAttention &call = *plan.call;
  float mean[kWidest] = {}, key[kWidest];
  for (int64_t s = 0; s < count; ++s) {
    read_head(call.k, call.type, (first + s) * call.k_stride + kv_head * call.width, call.width, plan.width, key);
    for (int64_t c = 0; c < plan.width; ++c) mean[c] += key[c];
  }
  for (float &value : mean) value /= float(count);
  const int64_t stored = (count + kKeys - 1) / kKeys * kKeys;
  for (int64_t s = 0; s < stored; ++s) {
    int8_t codes[kWidest] = {};
    int32_t sum;
    packed.key_scales[s] = 0.0f;
    if (s < count) {
      read_head(call.k, call.type, (first + s) * call.k_stride + kv_head * call.width, call.width, plan.width, key);
      for (int64_t c = 0; c < call.width; ++c) key[c] -= mean[c];
      packed.key_scales[s] = round_values(key, plan.width, codes, &sum);
    }
    uint8_t *tile = packed.keys + s / kTileRows * kTileRows * plan.width + s % kTileRows * 4;
    for (int64_t c = 0; c < plan.width; ++c) tile[c / 4 * kTileBytes + c % 4] = uint8_t(codes[c] + 128);
  }
}

void pack_values(const AttentionPlan &plan, const PackedHead &packed, int64_t first, int64_t count, int64_t kv_head) {
  const AnyresAttention &call = *plan.call;
  const int64_t blocks = (count + kKeys - 1) / kKeys;
  float values[kKeys][kWidest];
  for (int64_t block = 0; block < blocks; ++block) {
    for (int64_t s = 0; s < kKeys; ++s) {
      const int64_t at = block * kKeys + s;
      const int64_t width = at < count ? call.width : 0;
      read_head(call.v, call.type, (first + at) * call.v_stride + kv_head * call.width, width, plan.channels, values[s]);
    }
    for (int64_t c = 0; c < plan.channels; ++c) {
      float column[kKeys];
      int8_t codes[kKeys];
      int32_t sum;
      for (int64_t s = 0; s < kKeys; ++s) column[s] = values[s][c];
      packed.value_scales[block * plan.channels + c] = round_values(column, kKeys, codes, &sum);
      uint8_t *tile = packed.values + block * kKeys * plan.channels + c / kTileRows * kTileRows * kKeys;
      for (int64_t s = 0; s < kKeys; ++s) tile[s / 4 * kTileBytes + c % kTileRows * 4 + s % 4] = uint8_t(codes[s] + 128);
    }
  }
}

void pack_head(const AttentionPlan &plan, int64_t sequence, int64_t kv_head) {
  const int64_t first = plan.call->starts[sequence], count = plan.call->starts[sequence + 1] - first;
  const PackedHead packed = plan.head(sequence, kv_head);
  pack_keys(plan, packed, first, count, kv_head);
  pack_values(plan, packed, first, count, kv_head);
}

// ---- products

// Sums of codes (minus 128) times x over `columns`, for T rows of x and R tiles of codes.
template <int R, int... I>
ANYRES_APART void sum_tile(const uint8_t *const *codes, const int8_t *const *x, const int32_t *x_sums, int64_t columns,
                           Ints *sums, Each<I...> all) {
  Ints running[] = {Isa::whole((Isa::kCentred ? 0 : -128) * x_sums[I / R])...};
  Isa::template group<R, 8>(running, codes, x, columns, 8, all);
  ((sums[I] = running[I]), ...);
}

// rows[t][16 R] = sums * scales_of_rows * scale[t], added to what is there or, where `fresh`, in its place.
template <int T, int R>
void multiply_block(const uint8_t *codes, int64_t columns, const float *row_scales, const int8_t *x, int64_t x_stride,
                    const int32_t *x_sums, const float *x_scales, float *rows, int64_t row_stride, bool fresh) {
  const uint8_t *tiles[R];
  const int8_t *tokens[T];
  Ints sums[T * R];
  for (int r = 0; r < R; ++r) tiles[r] = codes + r * kTileRows * columns;
  for (int t = 0; t < T; ++t) tokens[t] = x + t * x_stride;
  sum_tile<R>(tiles, tokens, x_sums, columns, sums, each<T * R>());
  for (int r = 0; r < R; ++r) {
    const Floats scale = Isa::load(row_scales, r * kTileRows, TYPE_FLOAT32);
    for (int t = 0; t < T; ++t) {
      float *row = rows + t * row_stride + r * kTileRows;
      const Floats before = fresh ? Isa::zeros() : Isa::load(row, 0, TYPE_FLOAT32);
      Isa::store(row, Isa::add_product(before, sums[t * R + r], Isa::times(scale, x_scales[t])));
    }
  }
}

struct Operand {
  const uint8_t *codes;
  int64_t tiles, columns;
  const float *row_scales;
};

struct Rounded {
  int8_t codes[kQueries][kWidest];
  int32_t sums[kQueries];
  float scales[kQueries];
};

template <int T>
void multiply_queries(const Operand &left, const Rounded &x, int64_t t, int64_t last, float *rows, int64_t row_stride,
                      bool fresh) {
  for (; t + T <= last; t += T) {
    int64_t tile = 0;
    const auto some = [&](auto count) {
      constexpr int R = decltype(count)::value;
      for (; tile + R <= left.tiles; tile += R)
        multiply_block<T, R>(left.codes + tile * kTileRows * left.columns, left.columns,
                             left.row_scales + tile * kTileRows, x.codes[t], kWidest, x.sums + t, x.scales + t,
                             rows + t * row_stride + tile * kTileRows, row_stride, fresh);
    };
    some(std::integral_constant<int, Isa::kTiles>{});
    if constexpr (Isa::kTiles > 1) some(std::integral_constant<int, 1>{});
  }
  if constexpr (T > 1)
    if (t < last) multiply_queries<T - 1>(left, x, t, last, rows, row_stride, fresh);
}

// ---- softmax, block by block

struct State {
  float largest[kQueries];  // score so far, in powers of two
  float total[kQueries];    // of the weights so far
  alignas(64) float scores[kQueries][kKeys];
  alignas(64) float out[kQueries][kWidest];
  Rounded queries, weights;
};

void start(const AttentionPlan &plan, State &state, int64_t query, int64_t count, int64_t head) {
  const AnyresAttention &call = *plan.call;
  for (int64_t t = 0; t < count; ++t) {
    float values[kWidest];
    const int64_t at = (query + t) * call.q_stride + head * call.width;
    read_head(call.q, call.type, at, call.width, plan.width, values);
    for (int64_t c = 0; c < plan.width; ++c) values[c] *= call.scale * 1.44269504f;  // log2(e): powers of two, not of e
    state.queries.scales[t] = round_values(values, plan.width, state.queries.codes[t], &state.queries.sums[t]);
    state.largest[t] = kHidden;
    state.total[t] = 0.0f;
    memset(state.out[t], 0, sizeof state.out[t]);
  }
}

float largest_of(const float *scores, float largest) {
  Floats lanes = Isa::load(scores, 0, TYPE_FLOAT32);
  for (int64_t s = kTileRows; s < kKeys; s += kTileRows)
    lanes = Isa::larger(Isa::load(scores, s, TYPE_FLOAT32), lanes);
  const float found = Isa::largest(lanes);
  return found > largest ? found : largest;
}

// Turns the scores of query t into weights, with what was summed before brought to the same largest score.
void weigh(State &state, int64_t t, int64_t seen, int64_t channels) {
  float *scores = state.scores[t];
  for (int64_t s = seen < 0 ? 0 : seen; s < kKeys; ++s) scores[s] = kHidden;
  const float largest = largest_of(scores, state.largest[t]);
  if (largest > state.largest[t]) {
    const float shrunk = power_of_two(state.largest[t] - largest);
    state.total[t] *= shrunk;
    for (int64_t c = 0; c < channels; ++c) state.out[t][c] *= shrunk;
    state.largest[t] = largest;
  }
  for (int64_t s = 0; s < kKeys; ++s) scores[s] = power_of_two(scores[s] - largest);
  Rounded &weights = state.weights;
  weights.scales[t] = round_values(scores, kKeys, weights.codes[t], &weights.sums[t]);
  state.total[t] += float(weights.sums[t]) * weights.scales[t];
}

void finish(const AttentionPlan &plan, const State &state, int64_t query, int64_t count, int64_t head) {
  const AnyresAttention &call = *plan.call;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t at = (query + t) * call.out_stride + head * call.width;
    for (int64_t c = 0; c < call.width; ++c) {
      const float value = state.out[t][c] / state.total[t];
      if (call.type == TYPE_FLOAT32) {
        memcpy(static_cast<char *>(call.out) + 4 * (at + c), &value, 4);
      } else {
        const uint16_t half = to_bfloat16(value);
        memcpy(static_cast<char *>(call.out) + 2 * (at + c), &half, 2);
      }
    }
  }
}

void attend(const AttentionPlan &plan, int64_t sequence, int64_t head, int64_t query) {
  const AnyresAttention &call = *plan.call;
  const int64_t first = call.starts[sequence], keys = call.starts[sequence + 1] - first;
  const int64_t left = keys - query, count = left < kQueries ? left : kQueries;
  const PackedHead packed = plan.head(sequence, head / (call.heads / call.kv_heads));
  const int64_t visible = call.causal ? query + count : keys;
  State state;
  start(plan, state, first + query, count, head);
  for (int64_t block = 0; block * kKeys < visible; ++block) {
    const Operand scores = {packed.keys + block * kKeys * plan.width, kKeys / kTileRows, plan.width,
                            packed.key_scales + block * kKeys};
    multiply_queries<Isa::kTokens>(scores, state.queries, 0, count, state.scores[0], kKeys, true);
    for (int64_t t = 0; t < count; ++t)
      weigh(state, t, (call.causal ? query + t + 1 : keys) - block * kKeys, plan.channels);
    const Operand values = {packed.values + block * kKeys * plan.channels, plan.channels / kTileRows, kKeys,
                            packed.value_scales + block * plan.channels};
    multiply_queries<Isa::kTokens>(values, state.weights, 0, count, state.out[0], kWidest, false);
  }
  finish(plan, state, first + query, count, head);
}

}  // namespace
}  // namespace anyres
