// The C functions that anyres/kernels/cpu.py calls. Plain C types, nothing thrown, nothing kept but threads and scratch.
#pragma once
#include <stdint.h>

#if defined(_WIN32)
#define ANYRES_API extern "C" __declspec(dllexport)
#else
#define ANYRES_API extern "C" __attribute__((visibility("default")))
#endif

enum AnyresIsa { ISA_SCALAR = 0, ISA_AVX2 = 1, ISA_AVX_VNNI = 2, ISA_AVX512_VNNI = 3, ISA_NEON_DOT = 4, ISA_COUNT = 5 };
enum AnyresType { TYPE_FLOAT32 = 0, TYPE_BFLOAT16 = 1, TYPE_FLOAT16 = 2, TYPE_INT8 = 3 };

// packed.py says what lies where. Pointers need no alignment beyond that of their type.
struct AnyresWeight {
  const uint8_t *codes;
  const void *scales;
  const void *minimums;
  const float *bias;  // null where there is none
  int64_t rows, columns;
  int32_t bits, group;
  int32_t scales_type, minimums_type;  // float32 or float16
};

// What happens to a row of x before it is rounded and multiplied. SWIGLU takes rows of twice the columns: silu(first half)
// times the second.
enum AnyresBefore { BEFORE_NOTHING = 0, BEFORE_RMS_NORM = 1, BEFORE_LAYER_NORM = 2, BEFORE_QUICK_GELU = 3, BEFORE_SWIGLU = 4 };

// y[t, n] = sum over k of x[t, k] * w[n, k], plus bias[n] where there is a bias, plus added[t, n] where there is one. The
// rows of several weights, which have the same columns and groups, follow each other in y. Rows of x, y and added lie
// `stride` values apart.
struct AnyresLinear {
  const void *x;
  void *y;
  const void *added;  // of y's type
  const float *norm_weight, *norm_bias;
  int64_t tokens, x_stride, y_stride, added_stride;
  int32_t x_type, y_type;  // float32 or bfloat16
  int32_t before;
  float norm_eps;
  int32_t threads, isa;
};

// Turns channel pairs (i, i + width/2) of the first `heads` heads of every row of x, in place, by the angles whose cosines
// and sines are given for each token and channel.
struct AnyresRotate {
  void *x;
  const float *cosines, *sines;  // [tokens, width]
  int64_t tokens, x_stride;
  int32_t heads, width;
  int32_t x_type;  // float32 or bfloat16
  int32_t threads, isa;
};

// Attention inside each of the packed sequences, none across them: sequence i holds tokens starts[i] to starts[i+1] - 1.
// q and out are [tokens, heads, width], k and v [tokens, kv_heads, width], a token every `stride` values, heads side by side.
// Query heads share key heads in runs of heads / kv_heads. Where `causal` is set a token sees none after itself.
struct AnyresAttention {
  const void *q, *k, *v;
  void *out;
  const int64_t *starts;
  int64_t sequences, q_stride, k_stride, v_stride, out_stride;
  int32_t heads, kv_heads, width, causal;
  int32_t type;  // of all four: float32 or bfloat16
  int32_t threads, isa;
  float scale;
};

// Attention over a cache in blocks, in float32. Sequence b holds the next counts[b] rows of q, of which query i sees places
// 0 to starts[b] + i; place s is place s % block_size of block tables[b][s / block_size]. q and out are [tokens, heads,
// width], keys and values [blocks, kv_heads, block_size, width], scales of an int8 cache [blocks, kv_heads, block_size].
struct AnyresPagedAttention {
  const void *q;
  void *out;
  const void *keys, *values;
  const float *key_scales, *value_scales;  // null where the cache is not int8
  const int32_t *tables, *starts, *counts;
  int64_t sequences, tokens, blocks, table_size, table_stride, q_stride, out_stride;
  int32_t heads, kv_heads, width, block_size;
  int32_t type;        // of q and out: float32 or bfloat16
  int32_t cache_type;  // float32, bfloat16 or int8
  int32_t threads, isa;
  float scale;
};

// All return 0, 1 where scratch memory ran out or the instruction set is not there, and 2 where a table of blocks names
// memory that is not the cache's.
ANYRES_API int32_t anyres_linear(const struct AnyresLinear *call, const struct AnyresWeight *weights, int32_t count);
ANYRES_API int32_t anyres_rotate(const struct AnyresRotate *call);
ANYRES_API int32_t anyres_attention(const struct AnyresAttention *call);
ANYRES_API int32_t anyres_exact_attention(const struct AnyresAttention *call);
ANYRES_API int32_t anyres_paged_attention(const struct AnyresPagedAttention *call);
ANYRES_API int32_t anyres_has(int32_t isa);
ANYRES_API const char *anyres_source();  // what it was built from, so that a stale library is noticed
