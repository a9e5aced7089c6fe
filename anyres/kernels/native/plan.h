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

struct Kernels {
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
