// The doors of the library: picks the instruction set, finds scratch memory, shares the work among threads.
#include <stdlib.h>

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

// Memory that a thread keeps from call to call.
struct Scratch {
  char *bytes = nullptr;
  size_t size = 0;
  ~Scratch() { free(bytes); }
  char *at_least(size_t wanted) {
    if (wanted <= size) return bytes;
    free(bytes);
    bytes = static_cast<char *>(malloc(wanted));
    size = bytes == nullptr ? 0 : wanted;
    return bytes;
  }
};

struct Work {
  Plan plan;
  const Kernels *kernels;
};

constexpr int64_t kTokensOfItem = 8;

void quantize_some(void *argument, int64_t item) {
  const Work &work = *static_cast<Work *>(argument);
  const int64_t first = item * kTokensOfItem, last = first + kTokensOfItem;
  for (int64_t token = first; token < last && token < work.plan.call->tokens; ++token)
    work.kernels->quantize(work.plan, token);
}

void multiply_some(void *argument, int64_t item) {
  const Work &work = *static_cast<Work *>(argument);
  const int64_t first = item / work.plan.panels * work.plan.token_block;
  const int64_t last = first + work.plan.token_block, tokens = work.plan.call->tokens;
  work.kernels->multiply(work.plan, item % work.plan.panels, first, last < tokens ? last : tokens);
}

// Few panels and many threads: the tokens are cut too, so that everybody has some four items.
int64_t block_of(int64_t tokens, int64_t panels, int32_t threads) {
  const int64_t parts = threads <= 1 ? 1 : (4 * threads + panels - 1) / panels;
  const int64_t block = (tokens + parts - 1) / parts;
  return block < 24 ? (tokens < 24 ? tokens : 24) : (block + 11) / 12 * 12;
}

struct AttentionWork {
  AttentionPlan plan;
  const Kernels *kernels;
};

// The sequence that holds number `at`, where sequence i holds those from first[i].
int64_t sequence_of(const int64_t *first, int64_t sequences, int64_t at) {
  int64_t low = 0, high = sequences;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (first[middle] <= at ? low : high) = middle;
  }
  return low;
}

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

struct ExactWork {
  const AnyresAttention *packed;  // one of the two
  const AnyresPagedAttention *paged;
  ExactPlan plan;
  const Kernels *kernels;
  const int64_t *first_item;  // of each sequence, for one key head; one more at the end: their number
  int64_t sequences;
};

int64_t bytes_of(int32_t type) { return type == TYPE_FLOAT32 ? 4 : type == TYPE_INT8 ? 1 : 2; }

// Keys (or values) of one sequence and head, token after token.
Places packed_places(const AnyresAttention &call, const void *values, int64_t stride, int64_t token, int64_t kv_head) {
  const int64_t bytes = bytes_of(call.type);
  const char *first = static_cast<const char *>(values) + (token * stride + kv_head * call.width) * bytes;
  return {first, nullptr, nullptr, 0, 0, 1, stride * bytes, call.type};
}

ExactItem packed_item(const ExactWork &work, int64_t sequence, int64_t kv_head) {
  const AnyresAttention &call = *work.packed;
  ExactItem item;
  item.token = call.starts[sequence];
  item.keys = packed_places(call, call.k, call.k_stride, item.token, kv_head);
  item.values = packed_places(call, call.v, call.v_stride, item.token, kv_head);
  item.seen = call.causal ? 1 : call.starts[sequence + 1] - item.token;
  item.step = call.causal ? 1 : 0;
  return item;
}

Places paged_places(const AnyresPagedAttention &call, const void *values, const float *scales, int64_t sequence,
                    int64_t kv_head) {
  const int64_t row_bytes = call.width * bytes_of(call.cache_type), skipped = kv_head * call.block_size;
  return {static_cast<const char *>(values) + skipped * row_bytes,
          scales == nullptr ? nullptr : scales + skipped,
          call.tables + sequence * call.table_stride,
          call.block_size,
          call.kv_heads * call.block_size,
          1,
          row_bytes,
          call.cache_type};
}

ExactItem paged_item(const ExactWork &work, int64_t sequence, int64_t kv_head) {
  const AnyresPagedAttention &call = *work.paged;
  ExactItem item;
  item.keys = paged_places(call, call.keys, call.key_scales, sequence, kv_head);
  item.values = paged_places(call, call.values, call.value_scales, sequence, kv_head);
  item.token = 0;
  for (int64_t i = 0; i < sequence; ++i) item.token += call.counts[i];
  item.seen = call.starts[sequence] + 1;
  item.step = 1;
  return item;
}

void attend_exactly_some(void *argument, int64_t number) {
  const ExactWork &work = *static_cast<ExactWork *>(argument);
  const int64_t items = work.first_item[work.sequences], kv_head = number / items;
  const int64_t sequence = sequence_of(work.first_item, work.sequences, number % items);
  ExactItem item = work.paged == nullptr ? packed_item(work, sequence, kv_head) : paged_item(work, sequence, kv_head);
  const int64_t tokens = work.paged == nullptr
                             ? work.packed->starts[sequence + 1] - work.packed->starts[sequence]
                             : int64_t(work.paged->counts[sequence]);
  item.kv_head = kv_head;
  item.group = work.plan.group;
  item.first_row = (number % items - work.first_item[sequence]) * kRows;
  const int64_t left = tokens * item.group - item.first_row;
  item.rows = left < kRows ? left : kRows;
  work.kernels->attend_exactly(work.plan, item);
}

bool fits(const AnyresPagedAttention &call) {
  int64_t tokens = 0;
  for (int64_t b = 0; b < call.sequences; ++b) {
    const int64_t start = call.starts[b], count = call.counts[b];
    const int64_t used = (start + count + call.block_size - 1) / call.block_size;
    if (start < 0 || count < 0 || used > call.table_size) return false;
    const int32_t *table = call.tables + b * call.table_stride;
    for (int64_t i = 0; i < used; ++i)
      if (table[i] < 0 || table[i] >= call.blocks) return false;
    tokens += count;
  }
  return tokens == call.tokens;
}

template <class Call>
ExactPlan exact_plan(const Call &call) {
  return {static_cast<const char *>(call.q), static_cast<char *>(call.out),
          call.q_stride, call.out_stride, call.width, (call.width + kTileRows - 1) / kTileRows * kTileRows,
          call.heads / call.kv_heads, call.type, call.scale};
}

int32_t attend_all(ExactWork &work, Scratch &scratch, int32_t kv_heads, int32_t threads) {
  if (work.kernels == nullptr || work.plan.width > kWidest) return 1;
  char *bytes = scratch.at_least(size_t(work.sequences + 1) * sizeof(int64_t));
  if (bytes == nullptr) return 1;
  int64_t *first_item = reinterpret_cast<int64_t *>(bytes);
  first_item[0] = 0;
  for (int64_t i = 0; i < work.sequences; ++i) {
    const int64_t tokens = work.paged == nullptr ? work.packed->starts[i + 1] - work.packed->starts[i]
                                                 : int64_t(work.paged->counts[i]);
    first_item[i + 1] = first_item[i] + (tokens * work.plan.group + kRows - 1) / kRows;
  }
  work.first_item = first_item;
  share(threads, first_item[work.sequences] * kv_heads, attend_exactly_some, &work);
  return 0;
}

}  // namespace
}  // namespace anyres

using namespace anyres;

int32_t anyres_has(int32_t isa) { return kernels_of(isa) != nullptr && (isa == ISA_SCALAR || processor_has(isa)); }

int32_t anyres_linear(const AnyresLinear *call, const AnyresWeight *weight) {
  thread_local Scratch scratch;
  Work work;
  work.kernels = kernels_of(call->isa);
  if (work.kernels == nullptr) return 1;
  if (call->tokens <= 0) return 0;
  Plan &plan = work.plan;
  plan.call = call;
  plan.weight = weight;
  plan.groups = (weight->columns + weight->group - 1) / weight->group;
  plan.stored = plan.groups * weight->group;
  plan.tiles = (weight->rows + kTileRows - 1) / kTileRows;
  plan.panels = (plan.tiles + kPanelTiles - 1) / kPanelTiles;
  plan.token_block = block_of(call->tokens, plan.panels, call->threads);
  const size_t values = size_t(call->tokens) * size_t(plan.groups);
  char *bytes = scratch.at_least(values * (12 + size_t(weight->group)));
  if (bytes == nullptr) return 1;
  plan.scales = reinterpret_cast<float *>(bytes);
  plan.scaled_sums = plan.scales + values;
  plan.sums = reinterpret_cast<int32_t *>(plan.scaled_sums + values);
  plan.codes = reinterpret_cast<int8_t *>(plan.sums + values);
  share(call->threads, (call->tokens + kTokensOfItem - 1) / kTokensOfItem, quantize_some, &work);
  const int64_t blocks = (call->tokens + plan.token_block - 1) / plan.token_block;
  share(call->threads, blocks * plan.panels, multiply_some, &work);
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

int32_t anyres_exact_attention(const AnyresAttention *call) {
  thread_local Scratch scratch;
  ExactWork work = {call, nullptr, exact_plan(*call), kernels_of(call->isa), nullptr, call->sequences};
  return attend_all(work, scratch, call->kv_heads, call->threads);
}

int32_t anyres_paged_attention(const AnyresPagedAttention *call) {
  thread_local Scratch scratch;
  if (!fits(*call)) return 2;
  ExactWork work = {nullptr, call, exact_plan(*call), kernels_of(call->isa), nullptr, call->sequences};
  return attend_all(work, scratch, call->kv_heads, call->threads);
}

#ifndef ANYRES_SOURCE
#define ANYRES_SOURCE "unknown"
#endif
const char *anyres_source() { return ANYRES_SOURCE; }
