// One linear layer on its way through the stages: what is to be done, and where the rounded activations lie.
#pragma once
#include "api.h"

namespace anyres {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileBytes = 64;   // 16 rows of 4 columns, or of 8 columns with 4 bits
constexpr int64_t kPanelTiles = 4;   // what one item of work covers: 64 rows
constexpr int64_t kLongestGroup = 128;

struct Plan {
  const AnyresLinear *call;
  const AnyresWeight *weight;
  int64_t columns, group, groups, stored;  // stored: columns with those added to fill the last group
  int64_t tiles, first_row, first_panel;   // first_row: of the weight among those of the call
  int8_t *codes;        // [tokens, stored]
  float *scales;        // [tokens, groups] value of a 1
  float *scaled_sums;   // [tokens, groups] value of the sum of a group's codes
  int32_t *sums;        // [tokens, groups] 128 times the sum of a group's codes
};

constexpr int64_t kKeys = 64;      // keys of one block, four tiles of 16
constexpr int64_t kQueries = 24;   // queries of one item of work
constexpr int64_t kWidest = 128;   // channels of a head at most

// Keys and values of one sequence and head, rounded to 8 bits. Keys are rows of a matrix with one scale a key, values
// columns of one with a scale a channel and block of keys, both in the tiles of packed.py. Codes are taken minus 128.
struct PackedHead {
  uint8_t *keys, *values;
  float *key_scales;    // [blocks, 64]
  float *value_scales;  // [blocks, channels]
};

struct AttentionPlan {
  const AnyresAttention *call;
  int64_t width, channels;  // of a head: rounded up to 8 for the scores, to 16 for the values
  const int64_t *first_block;  // of each sequence, counted over all of them; one more at the end: their number
  const int64_t *first_item;   // likewise for blocks of queries
  char *memory;
  int64_t block_bytes;  // of one block of keys of one head

  int64_t blocks() const { return first_block[call->sequences]; }
  PackedHead head(int64_t sequence, int64_t kv_head) const {
    const int64_t count = first_block[sequence + 1] - first_block[sequence];
    char *at = memory + (first_block[sequence] * call->kv_heads + kv_head * count) * block_bytes;
    PackedHead packed;
    packed.key_scales = reinterpret_cast<float *>(at);
    packed.value_scales = packed.key_scales + count * kKeys;
    packed.keys = reinterpret_cast<uint8_t *>(packed.value_scales + count * channels);
    packed.values = packed.keys + count * kKeys * width;
    return packed;
  }
};

constexpr int64_t kRows = 48;        // rows of one item of exact attention
constexpr int64_t kPlaces = 32;      // keys of one block there
constexpr int64_t kSharedItems = 3;  // items of a sequence and head from which on keys and values are read before

// Keys, or values, of one sequence and head. Place s is row `at(s)` from `values`, in the blocks that `table` names or,
// without a table, in order.
struct Places {
  const char *values;
  const float *scales;  // of each row; null where there are none
  const int32_t *table;
  int64_t block_size, block_rows, step, row_bytes;
  int32_t type;

  int64_t at(int64_t place) const {
    if (table == nullptr) return place * step;
    return table[place / block_size] * block_rows + place % block_size * step;
  }
};

struct ExactPlan {
  const char *q;
  char *out;
  int64_t q_stride, out_stride, width, channels, group;  // channels: of a head, rounded up to 16
  int32_t type;
  float scale;

  int64_t bytes() const { return type == TYPE_FLOAT32 ? 4 : 2; }
  int64_t block_floats() const { return 2 * kPlaces * channels; }  // keys [channels, places], then values
  const char *query_at(const struct ExactItem &item, int64_t row) const;
  char *out_at(const struct ExactItem &item, int64_t row) const;
};

// Rows of one sequence and key head: row r is query r / group of the sequence, head r % group of those that share it.
struct ExactItem {
  Places keys, values;
  float *shared;               // its blocks of keys and values, read before; null where each item reads for itself
  int64_t token, kv_head;      // the sequence's first query among all; the key head
  int64_t first_row, rows;
  int64_t seen, step, group;   // the first query sees `seen` places, each further one `step` more

  int64_t seen_by(int64_t row) const { return seen + (first_row + row) / group * step; }
};

inline const char *ExactPlan::query_at(const ExactItem &item, int64_t row) const {
  const int64_t at = item.first_row + row, head = item.kv_head * group + at % group;
  return q + ((item.token + at / group) * q_stride + head * width) * bytes();
}
inline char *ExactPlan::out_at(const ExactItem &item, int64_t row) const {
  const int64_t at = item.first_row + row, head = item.kv_head * group + at % group;
  return out + ((item.token + at / group) * out_stride + head * width) * bytes();
}

struct Kernels {
  void (*rotate)(const AnyresRotate &call, int64_t token);
  void (*read_block)(const ExactPlan &plan, const ExactItem &item, int64_t block, int64_t count);
  void (*attend_exactly)(const ExactPlan &plan, const ExactItem &item);
  void (*pack_head)(const AttentionPlan &plan, int64_t sequence, int64_t kv_head);
  void (*attend)(const AttentionPlan &plan, int64_t sequence, int64_t head, int64_t first_query);
  void (*quantize)(const Plan &plan, int64_t token);
  void (*multiply)(const Plan &plan, int64_t panel, int64_t first_token, int64_t last_token);
};

// Each is null where the compiler cannot make it. Whether the processor has it is another question: `anyres_has`.
extern const Kernels *const kScalar;
extern const Kernels *const kAvx2;
extern const Kernels *const kAvxVnni;
extern const Kernels *const kAvx512Vnni;
extern const Kernels *const kNeonDot;

}  // namespace anyres
