// The doors of the library: picks the instruction set, finds scratch memory, shares the work among threads.
#include "doors.h"
#include "plan.h"
#include "pool.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace anyres {
namespace {

#if defined(__x86_64__)
// Source: Intel 64 and IA-32 manual, volume 2, CPUID leaves 1 and 7; XCR0 tells which registers the system saves.
bool processor_has(int32_t isa) {
  unsigned a, b, c, d, a7, b7, c7, d7, a71, b71, c71, d71;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27)) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7)) return false;
  unsigned saved, unused;
  __asm__ volatile("xgetbv" : "=a"(saved), "=d"(unused) : "c"(0));
  const bool fma = c & (1u << 12), half = c & (1u << 29), avx = c & (1u << 28), avx2 = b7 & (1u << 5);
  const bool has_avx2 = fma && half && avx && avx2 && (saved & 6) == 6;
  if (isa == ISA_AVX2) return has_avx2;
  if (isa == ISA_AVX_VNNI)
    return has_avx2 && a7 >= 1 && __get_cpuid_count(7, 1, &a71, &b71, &c71, &d71) && (a71 & (1u << 4));
  const unsigned foundation = (1u << 16) | (1u << 30) | (1u << 31);  // F, BW, VL
  return has_avx2 && (saved & 0xe6) == 0xe6 && (b7 & foundation) == foundation && (c7 & (1u << 11));
}
#elif defined(__aarch64__) && defined(__linux__)
bool processor_has(int32_t isa) { return isa == ISA_NEON_DOT && (getauxval(AT_HWCAP) & (1ul << 20)); }
#elif defined(__aarch64__) && defined(__APPLE__)
bool processor_has(int32_t isa) { return isa == ISA_NEON_DOT; }
#else
bool processor_has(int32_t) { return false; }
#endif

}  // namespace

const Kernels *kernels_of(int32_t isa) {
  switch (isa) {
    case ISA_SCALAR: return kScalar;
    case ISA_AVX2: return kAvx2;
    case ISA_AVX_VNNI: return kAvxVnni;
    case ISA_AVX512_VNNI: return kAvx512Vnni;
    case ISA_NEON_DOT: return kNeonDot;
    default: return nullptr;
  }
}

namespace {

constexpr int32_t kMostWeights = 4;

struct Work {
  const AnyresLinear *call;
  const Kernels *kernels;
  Plan plans[kMostWeights];  // one for each weight; all share the rounded activations
  int32_t count;
  int64_t panels, token_block;
  int64_t run;  // panels of one item
};

constexpr int64_t kTokensOfItem = 8;
constexpr int64_t kLongestRun = 4;
constexpr int64_t kCacheBytes = 256 * 1024;  // of the second cache, for activations

void quantize_some(void *argument, int64_t item) {
  const Work &work = *static_cast<Work *>(argument);
  const int64_t first = item * kTokensOfItem, last = first + kTokensOfItem;
  for (int64_t token = first; token < last && token < work.call->tokens; ++token)
    work.kernels->quantize(work.plans[0], token);
}

void multiply_some(void *argument, int64_t item) {
  const Work &work = *static_cast<Work *>(argument);
  const int64_t runs = (work.panels + work.run - 1) / work.run;
  const int64_t first = item / runs * work.token_block, last = first + work.token_block, tokens = work.call->tokens;
  const int64_t first_panel = item % runs * work.run, last_panel = first_panel + work.run;
  int32_t which = 0;
  for (int64_t panel = first_panel; panel < last_panel && panel < work.panels; ++panel) {
    while (which + 1 < work.count && work.plans[which + 1].first_panel <= panel) ++which;
    const Plan &plan = work.plans[which];
    work.kernels->multiply(plan, panel - plan.first_panel, first, last < tokens ? last : tokens);
  }
}

// So many tokens at a time that their codes stay in a core's second cache while all panels pass; and where panels are few
// and threads many, so few that everybody has some four items.
int64_t block_of(int64_t tokens, int64_t panels, int32_t threads, int64_t token_bytes) {
  const int64_t fit = kCacheBytes / token_bytes < 48 ? 48 : kCacheBytes / token_bytes;
  int64_t parts = threads <= 1 ? 1 : (4 * threads + panels - 1) / panels;
  if ((tokens + fit - 1) / fit > parts) parts = (tokens + fit - 1) / fit;
  const int64_t block = (tokens + parts - 1) / parts;
  return block < 24 ? (tokens < 24 ? tokens : 24) : (block + 11) / 12 * 12;
}

// One token reads a weight once, and reads faster the longer the pieces are in which threads take it; but everybody should
// have some four of them.
int64_t run_of(int64_t tokens, int64_t panels, int32_t threads) {
  const int64_t fair = threads <= 1 ? kLongestRun : panels / (4 * threads);
  if (tokens > 1 || fair < 1) return 1;
  return fair < kLongestRun ? fair : kLongestRun;
}

struct RotateWork {
  const AnyresRotate *call;
  const Kernels *kernels;
};

void rotate_some(void *argument, int64_t item) {
  const RotateWork &work = *static_cast<RotateWork *>(argument);
  const int64_t first = item * kTokensOfItem, last = first + kTokensOfItem;
  for (int64_t token = first; token < last && token < work.call->tokens; ++token) work.kernels->rotate(*work.call, token);
}

struct AttentionWork {
  AttentionPlan plan;
  const Kernels *kernels;
};

void pack_some(void *argument, int64_t item) {
  const AttentionWork &work = *static_cast<AttentionWork *>(argument);
  const int64_t kv_heads = work.plan.call->kv_heads;
  work.kernels->pack_head(work.plan, item / kv_heads, item % kv_heads);
}

// Items go head by head, so that threads read the keys of the same few heads.
void attend_some(void *argument, int64_t item) {
  const AttentionWork &work = *static_cast<AttentionWork *>(argument);
  const AttentionPlan &plan = work.plan;
  const int64_t items = plan.first_item[plan.call->sequences];
  const int64_t sequence = sequence_of(plan.first_item, plan.call->sequences, item % items);
  work.kernels->attend(plan, sequence, item / items, (item % items - plan.first_item[sequence]) * kQueries);
}

}  // namespace
}  // namespace anyres

using namespace anyres;

int32_t anyres_has(int32_t isa) { return kernels_of(isa) != nullptr && (isa == ISA_SCALAR || processor_has(isa)); }

int32_t anyres_linear(const AnyresLinear *call, const AnyresWeight *weights, int32_t count) {
  thread_local Scratch scratch;
  Work work;
  work.call = call;
  work.kernels = kernels_of(call->isa);
  work.count = count;
  if (work.kernels == nullptr || count < 1 || count > kMostWeights) return 1;
  if (call->tokens <= 0) return 0;
  Plan plan;
  plan.call = call;
  plan.columns = weights->columns;
  plan.group = weights->group;
  plan.groups = (plan.columns + plan.group - 1) / plan.group;
  plan.stored = plan.groups * plan.group;
  const size_t values = size_t(call->tokens) * size_t(plan.groups);
  char *bytes = scratch.at_least(values * (12 + size_t(plan.group)));
  if (bytes == nullptr) return 1;
  plan.scales = reinterpret_cast<float *>(bytes);
  plan.scaled_sums = plan.scales + values;
  plan.sums = reinterpret_cast<int32_t *>(plan.scaled_sums + values);
  plan.codes = reinterpret_cast<int8_t *>(plan.sums + values);
  plan.first_row = plan.first_panel = 0;
  for (int32_t i = 0; i < count; ++i) {
    plan.weight = weights + i;
    plan.tiles = (plan.weight->rows + kTileRows - 1) / kTileRows;
    work.plans[i] = plan;
    plan.first_row += plan.weight->rows;
    plan.first_panel += (plan.tiles + kPanelTiles - 1) / kPanelTiles;
  }
  work.panels = plan.first_panel;
  work.token_block = block_of(call->tokens, work.panels, call->threads, plan.stored + 12 * plan.groups);
  work.run = run_of(call->tokens, work.panels, call->threads);
  share(call->threads, (call->tokens + kTokensOfItem - 1) / kTokensOfItem, quantize_some, &work);
  const int64_t blocks = (call->tokens + work.token_block - 1) / work.token_block;
  share(call->threads, blocks * ((work.panels + work.run - 1) / work.run), multiply_some, &work);
  return 0;
}

int32_t anyres_rotate(const AnyresRotate *call) {
  RotateWork work = {call, kernels_of(call->isa)};
  if (work.kernels == nullptr) return 1;
  share(call->threads, (call->tokens + kTokensOfItem - 1) / kTokensOfItem, rotate_some, &work);
  return 0;
}

int32_t anyres_attention(const AnyresAttention *call) {
  thread_local Scratch places, memory;
  AttentionWork work;
  work.kernels = kernels_of(call->isa);
  if (work.kernels == nullptr || call->width > kWidest) return 1;
  char *bytes = places.at_least(size_t(call->sequences + 1) * 2 * sizeof(int64_t));
  if (bytes == nullptr) return 1;
  int64_t *first_block = reinterpret_cast<int64_t *>(bytes), *first_item = first_block + call->sequences + 1;
  first_block[0] = first_item[0] = 0;
  for (int64_t i = 0; i < call->sequences; ++i) {
    const int64_t count = call->starts[i + 1] - call->starts[i];
    first_block[i + 1] = first_block[i] + (count + kKeys - 1) / kKeys;
    first_item[i + 1] = first_item[i] + (count + kQueries - 1) / kQueries;
  }
  AttentionPlan &plan = work.plan;
  plan.call = call;
  plan.width = (call->width + 7) / 8 * 8;
  plan.channels = (call->width + 15) / 16 * 16;
  plan.first_block = first_block;
  plan.first_item = first_item;
  plan.block_bytes = kKeys * 4 + plan.channels * 4 + kKeys * (plan.width + plan.channels);
  plan.memory = memory.at_least(size_t(plan.blocks() * call->kv_heads * plan.block_bytes));
  if (plan.memory == nullptr && plan.blocks() > 0) return 1;
  share(call->threads, call->sequences * call->kv_heads, pack_some, &work);
  share(call->threads, first_item[call->sequences] * call->heads, attend_some, &work);
  return 0;
}

#ifndef ANYRES_SOURCE
#define ANYRES_SOURCE "unknown"
#endif
const char *anyres_source() { return ANYRES_SOURCE; }
