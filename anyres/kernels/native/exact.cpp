// The doors to attention in float32: over packed sequences, and over a cache in blocks.
#include "doors.h"
#include "plan.h"
#include "pool.h"

namespace anyres {
namespace {

struct ExactWork {
  const AnyresAttention *packed;  // one of the two
  const AnyresPagedAttention *paged;
  ExactPlan plan;
  const Kernels *kernels;
  int64_t sequences, kv_heads;
  const int64_t *first_item;   // of each sequence, for one key head; one more at the end: their number
  const int64_t *first_block;  // likewise of blocks that are read before
  float *shared;

  int64_t queries(int64_t sequence) const {
    return paged == nullptr ? packed->starts[sequence + 1] - packed->starts[sequence]
                            : int64_t(paged->counts[sequence]);
  }
  int64_t places(int64_t sequence) const {
    return queries(sequence) + (paged == nullptr ? 0 : int64_t(paged->starts[sequence]));
  }
  int64_t items(int64_t sequence) const { return (queries(sequence) * plan.group + kRows - 1) / kRows; }
  int64_t blocks(int64_t sequence) const {
    return items(sequence) < kSharedItems ? 0 : (places(sequence) + kPlaces - 1) / kPlaces;
  }
};

int64_t bytes_of(int32_t type) { return type == TYPE_FLOAT32 ? 4 : type == TYPE_INT8 ? 1 : 2; }

// Keys (or values) of one sequence and head, token after token.
Places packed_places(const AnyresAttention &call, const void *values, int64_t stride, int64_t token, int64_t kv_head) {
  const int64_t bytes = bytes_of(call.type);
  const char *first = static_cast<const char *>(values) + (token * stride + kv_head * call.width) * bytes;
  return {first, nullptr, nullptr, 0, 0, 1, stride * bytes, call.type};
}

ExactItem packed_item(const AnyresAttention &call, int64_t sequence, int64_t kv_head) {
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

ExactItem paged_item(const AnyresPagedAttention &call, int64_t sequence, int64_t kv_head) {
  ExactItem item;
  item.keys = paged_places(call, call.keys, call.key_scales, sequence, kv_head);
  item.values = paged_places(call, call.values, call.value_scales, sequence, kv_head);
  item.token = 0;
  for (int64_t i = 0; i < sequence; ++i) item.token += call.counts[i];
  item.seen = call.starts[sequence] + 1;
  item.step = 1;
  return item;
}

ExactItem item_of(const ExactWork &work, int64_t sequence, int64_t kv_head) {
  ExactItem item = work.paged == nullptr ? packed_item(*work.packed, sequence, kv_head)
                                         : paged_item(*work.paged, sequence, kv_head);
  const int64_t blocks = work.blocks(sequence), before = work.first_block[sequence] * work.kv_heads + kv_head * blocks;
  item.shared = blocks == 0 ? nullptr : work.shared + before * work.plan.block_floats();
  item.kv_head = kv_head;
  item.group = work.plan.group;
  return item;
}

void read_some(void *argument, int64_t number) {
  const ExactWork &work = *static_cast<ExactWork *>(argument);
  const int64_t blocks = work.first_block[work.sequences];
  const int64_t sequence = sequence_of(work.first_block, work.sequences, number % blocks);
  const int64_t block = number % blocks - work.first_block[sequence];
  const int64_t left = work.places(sequence) - block * kPlaces;
  work.kernels->read_block(work.plan, item_of(work, sequence, number / blocks), block, left < kPlaces ? left : kPlaces);
}

void attend_some(void *argument, int64_t number) {
  const ExactWork &work = *static_cast<ExactWork *>(argument);
  const int64_t items = work.first_item[work.sequences];
  const int64_t sequence = sequence_of(work.first_item, work.sequences, number % items);
  ExactItem item = item_of(work, sequence, number / items);
  item.first_row = (number % items - work.first_item[sequence]) * kRows;
  const int64_t left = work.queries(sequence) * item.group - item.first_row;
  item.rows = left < kRows ? left : kRows;
  work.kernels->attend_exactly(work.plan, item);
}

// Whether all that the tables name is there.
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
int32_t attend_all(const Call &call, ExactWork &work) {
  thread_local Scratch numbers, memory;
  const int64_t channels = (call.width + kTileRows - 1) / kTileRows * kTileRows;
  work.plan = {static_cast<const char *>(call.q), static_cast<char *>(call.out), call.q_stride, call.out_stride,
               call.width, channels, call.heads / call.kv_heads, call.type, call.scale};
  work.kernels = kernels_of(call.isa);
  work.sequences = call.sequences;
  work.kv_heads = call.kv_heads;
  if (work.kernels == nullptr || call.width > kWidest) return 1;
  int64_t *first_item = reinterpret_cast<int64_t *>(numbers.at_least(size_t(call.sequences + 1) * 2 * sizeof(int64_t)));
  if (first_item == nullptr) return 1;
  int64_t *first_block = first_item + call.sequences + 1;
  first_item[0] = first_block[0] = 0;
  for (int64_t i = 0; i < call.sequences; ++i) {
    first_item[i + 1] = first_item[i] + work.items(i);
    first_block[i + 1] = first_block[i] + work.blocks(i);
  }
  work.first_item = first_item;
  work.first_block = first_block;
  const int64_t blocks = first_block[call.sequences] * call.kv_heads;
  work.shared = reinterpret_cast<float *>(memory.at_least(size_t(blocks * work.plan.block_floats()) * sizeof(float)));
  if (work.shared == nullptr && blocks > 0) return 1;
  share(call.threads, blocks, read_some, &work);
  share(call.threads, first_item[call.sequences] * call.kv_heads, attend_some, &work);
  return 0;
}

}  // namespace
}  // namespace anyres

using namespace anyres;

int32_t anyres_exact_attention(const AnyresAttention *call) {
  ExactWork work = {};
  work.packed = call;
  return attend_all(*call, work);
}

int32_t anyres_paged_attention(const AnyresPagedAttention *call) {
  if (!fits(*call)) return 2;
  ExactWork work = {};
  work.paged = call;
  return attend_all(*call, work);
}
