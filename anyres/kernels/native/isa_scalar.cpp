// Plain C++, for processors of which nothing is known.
#include <string.h>

#include "plan.h"
#include "unroll.h"

namespace anyres {
namespace {

struct Isa {
  struct Ints {
    int32_t lane[kTileRows];
  };
  struct Floats {
    float lane[kTileRows];
  };
  static constexpr int kTokens = 2;
  static constexpr bool kCentred = false;
  static constexpr int kTiles = 1;
  static constexpr int kFloatTokens = 2, kFloatTiles = 1;

  static Ints whole(int32_t value) {
    Ints ints;
    for (int32_t &lane : ints.lane) lane = value;
    return ints;
  }
  static Floats zeros() { return {}; }
  static Floats times(Floats a, float b) {
    for (float &lane : a.lane) lane *= b;
    return a;
  }
  static Floats add_scaled(Floats total, const Floats &a, float b) {
    for (int i = 0; i < kTileRows; ++i) total.lane[i] = __builtin_fmaf(a.lane[i], b, total.lane[i]);
    return total;
  }
  static Floats add_product(Floats total, const Ints &sum, const Floats &step) {
    for (int i = 0; i < kTileRows; ++i)
      total.lane[i] = __builtin_fmaf(float(sum.lane[i]), step.lane[i], total.lane[i]);
    return total;
  }
  static Floats larger(Floats a, const Floats &b) {
    for (int i = 0; i < kTileRows; ++i) a.lane[i] = a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i];
    return a;
  }
  static float largest(const Floats &x) {
    float found = x.lane[0];
    for (const float lane : x.lane) found = lane > found ? lane : found;
    return found;
  }
  // Halves are added to each other: the order of the sum is that of all instruction sets.
  static float sum(Floats x) {
    for (int half = kTileRows / 2; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) x.lane[i] += x.lane[i + half];
    return x.lane[0];
  }
  static Floats plus(Floats a, const Floats &b) {
    for (int i = 0; i < kTileRows; ++i) a.lane[i] += b.lane[i];
    return a;
  }
  static void store(float *values, const Floats &x) { memcpy(values, x.lane, sizeof x.lane); }

  static float from_half(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16, exponent = (half >> 10) & 31, fraction = half & 0x3ff;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * float(fraction) * 5.9604644775390625e-8f;  // 2^-24
    const uint32_t bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | (fraction << 13);
    float value;
    memcpy(&value, &bits, 4);
    return value;
  }
  static Floats load(const void *values, int64_t index, int32_t type) {
    Floats loaded;
    if (type == TYPE_FLOAT32) {
      memcpy(loaded.lane, static_cast<const char *>(values) + 4 * index, sizeof loaded.lane);
      return loaded;
    }
    uint16_t halves[kTileRows];
    memcpy(halves, static_cast<const char *>(values) + 2 * index, sizeof halves);
    for (int i = 0; i < kTileRows; ++i) loaded.lane[i] = from_half(halves[i]);
    return loaded;
  }

  static Floats load_bfloat16(const char *at) {
    uint16_t halves[kTileRows];
    memcpy(halves, at, sizeof halves);
    Floats loaded;
    for (int i = 0; i < kTileRows; ++i) {
      const uint32_t bits = uint32_t(halves[i]) << 16;
      memcpy(loaded.lane + i, &bits, 4);
    }
    return loaded;
  }
  static Floats load_int8(const char *at) {
    Floats loaded;
    for (int i = 0; i < kTileRows; ++i) loaded.lane[i] = float(int8_t(at[i]));
    return loaded;
  }

  // to[c][r] = rows[r][column + c], 16 by 16 values.
  static void turn(const float *const *rows, int64_t column, float *to, int64_t stride) {
    for (int r = 0; r < kTileRows; ++r)
      for (int c = 0; c < kTileRows; ++c) memcpy(to + c * stride + r, rows[r] + column + c, 4);
  }

  template <int BITS>
  static int32_t code(const uint8_t *codes, int64_t k, int row) {
    if (BITS != 4) return codes[(k / 4) * kTileBytes + 4 * row + k % 4];
    const uint8_t pair = codes[(k / 8) * kTileBytes + 4 * row + k % 4];
    return k % 8 < 4 ? pair & 15 : pair >> 4;
  }

  template <int R, int BITS, int... I>
  static void group(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t columns, int, Each<I...>) {
    for (int i = 0; i < int(sizeof...(I)); ++i)
      for (int64_t k = 0; k < columns; ++k)
        for (int row = 0; row < kTileRows; ++row)
          sums[i].lane[row] += code<BITS>(codes[i % R], k, row) * x[i / R][k];
  }
};

}  // namespace
}  // namespace anyres

#include "isa_end.h"
namespace anyres {
const Kernels *const kScalar = &kKernels;
}
