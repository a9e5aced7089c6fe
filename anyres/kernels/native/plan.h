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
  int64_t groups, stored, tiles;  // stored: columns with those added to fill the last group
  int64_t panels, token_block;
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

struct Kernels {
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
