// AVX-512 with VNNI: one register is a tile, one instruction multiplies it with 4 columns of a token.
#include "plan.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#include <string.h>

namespace anyres {
namespace {

struct Isa {
  using Ints = __m512i;
  using Floats = __m512;
  static constexpr int kTokens = 6;
  static constexpr bool kCentred = false;
  static constexpr int kTiles = 4, kTilesOfOne = 4;

  static Ints whole(int32_t value) { return _mm512_set1_epi32(value); }
  static Floats zeros() { return _mm512_setzero_ps(); }
  static Floats times(Floats a, float b) { return _mm512_mul_ps(a, _mm512_set1_ps(b)); }
  static Floats add_scaled(Floats total, Floats a, float b) { return _mm512_fmadd_ps(a, _mm512_set1_ps(b), total); }
  static Floats add_product(Floats total, Ints sum, Floats step) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), step, total);
  }
  static void store(float *values, Floats x) { _mm512_storeu_ps(values, x); }
  static Floats load(const void *values, int64_t index, int32_t type) {
    if (type == TYPE_FLOAT32) return _mm512_loadu_ps(static_cast<const char *>(values) + 4 * index);
    const void *at = static_cast<const char *>(values) + 2 * index;
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i *>(at)));
  }

  static __m512i four(const int8_t *x) {
    int32_t columns;
    memcpy(&columns, x, 4);
    return _mm512_set1_epi32(columns);
  }

  template <int T, int R>
  static void step(Ints (&sums)[T][R], const __m512i (&codes)[R], const int8_t *const (&x)[T], int64_t k) {
    for (int t = 0; t < T; ++t) {
      const __m512i columns = four(x[t] + k);
      for (int r = 0; r < R; ++r) sums[t][r] = _mm512_dpbusd_epi32(sums[t][r], codes[r], columns);
    }
  }

  template <int T, int R, int BITS>
  static void group(Ints (&sums)[T][R], const uint8_t *const (&codes)[R], const int8_t *const (&x)[T], int64_t columns,
                    int) {
    const __m512i low = _mm512_set1_epi8(15);
    __m512i tile[R];
    for (int64_t k = 0; k < columns; k += 8) {
      if (BITS == 4) {
        for (int r = 0; r < R; ++r) tile[r] = _mm512_and_si512(_mm512_loadu_si512(codes[r] + 8 * k), low);
        step<T, R>(sums, tile, x, k);
        for (int r = 0; r < R; ++r)
          tile[r] = _mm512_and_si512(_mm512_srli_epi16(_mm512_loadu_si512(codes[r] + 8 * k), 4), low);
        step<T, R>(sums, tile, x, k + 4);
      } else {
        for (int r = 0; r < R; ++r) tile[r] = _mm512_loadu_si512(codes[r] + 16 * k);
        step<T, R>(sums, tile, x, k);
        for (int r = 0; r < R; ++r) tile[r] = _mm512_loadu_si512(codes[r] + 16 * k + kTileBytes);
        step<T, R>(sums, tile, x, k + 4);
      }
    }
  }
};

}  // namespace
}  // namespace anyres

#include "linear.h"
namespace anyres {
const Kernels *const kAvx512Vnni = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvx512Vnni = nullptr;
}
#endif
