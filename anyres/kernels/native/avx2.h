// What the two instruction sets with registers of 256 bits share: a tile is two of them.
#include <immintrin.h>
#include <string.h>

#include "plan.h"
#include "unroll.h"

namespace anyres {
namespace {

struct Avx2 {
  static constexpr int kFloatTokens = 6, kFloatTiles = 1;
  struct Ints {
    __m256i low, high;
  };
  struct Floats {
    __m256 low, high;
  };

  static Ints whole(int32_t value) { return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)}; }
  static Ints plus(Ints a, Ints b) { return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)}; }
  static Floats zeros() { return {_mm256_setzero_ps(), _mm256_setzero_ps()}; }
  static Floats times(Floats a, float b) {
    return {_mm256_mul_ps(a.low, _mm256_set1_ps(b)), _mm256_mul_ps(a.high, _mm256_set1_ps(b))};
  }
  static Floats add_scaled(Floats total, Floats a, float b) {
    const __m256 factor = _mm256_set1_ps(b);
    return {_mm256_fmadd_ps(a.low, factor, total.low), _mm256_fmadd_ps(a.high, factor, total.high)};
  }
  static Floats add_product(Floats total, Ints sum, Floats step) {
    return {_mm256_fmadd_ps(_mm256_cvtepi32_ps(sum.low), step.low, total.low),
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum.high), step.high, total.high)};
  }
  static Floats larger(Floats a, Floats b) { return {_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)}; }
  static float largest(Floats x) {
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
  }
  static float sum(Floats x) {
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static Floats plus(Floats a, Floats b) { return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)}; }
  static void store(float *values, Floats x) {
    _mm256_storeu_ps(values, x.low);
    _mm256_storeu_ps(values + 8, x.high);
  }
  static Floats load(const void *values, int64_t index, int32_t type) {
    if (type == TYPE_FLOAT32) {
      const float *at = reinterpret_cast<const float *>(static_cast<const char *>(values) + 4 * index);
      return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)};
    }
    const __m128i *at = reinterpret_cast<const __m128i *>(static_cast<const char *>(values) + 2 * index);
    return {_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at + 1))};
  }

  static Floats load_bfloat16(const char *at) {
    const __m128i *halves = reinterpret_cast<const __m128i *>(at);
    const __m256i low = _mm256_cvtepu16_epi32(_mm_loadu_si128(halves));
    const __m256i high = _mm256_cvtepu16_epi32(_mm_loadu_si128(halves + 1));
    return {_mm256_castsi256_ps(_mm256_slli_epi32(low, 16)), _mm256_castsi256_ps(_mm256_slli_epi32(high, 16))};
  }
  static Floats load_int8(const char *at) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i *>(at));
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
            _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8)))};
  }

  // to[c][r] = rows[r][column + c], 16 by 16 values, 8 by 8 at a time.
  static void turn(const float *const *rows, int64_t column, float *to, int64_t stride) {
    for (int r = 0; r < kTileRows; r += 8)
      for (int c = 0; c < kTileRows; c += 8) turn_eight(rows + r, column + c, to + c * stride + r, stride);
  }
  static ANYRES_INLINE void turn_eight(const float *const *rows, int64_t column, float *to, int64_t stride) {
    __m256 pairs[8], fours[8];
    for (int i = 0; i < 8; i += 2) {
      const __m256 a = _mm256_loadu_ps(rows[i] + column), b = _mm256_loadu_ps(rows[i + 1] + column);
      pairs[i] = _mm256_unpacklo_ps(a, b);
      pairs[i + 1] = _mm256_unpackhi_ps(a, b);
    }
    for (int i = 0; i < 8; i += 4)
      for (int j = 0; j < 2; ++j) {
        fours[i + 2 * j] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0x44);
        fours[i + 2 * j + 1] = _mm256_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0xee);
      }
    for (int i = 0; i < 4; ++i) {
      _mm256_storeu_ps(to + i * stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20));
      _mm256_storeu_ps(to + (i + 4) * stride, _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31));
    }
  }

  static __m256i four(const int8_t *x) {
    int32_t columns;
    memcpy(&columns, x, 4);
    return _mm256_set1_epi32(columns);
  }

  // The codes of columns k to k+3 (half 0) or k+4 to k+7 (half 1); k is a multiple of 8.
  template <int BITS>
  static ANYRES_INLINE Ints codes_of(const uint8_t *codes, int64_t k, int half) {
    const __m256i *at = reinterpret_cast<const __m256i *>(codes + (BITS == 4 ? 8 * k : 16 * k + kTileBytes * half));
    const Ints bytes = {_mm256_loadu_si256(at), _mm256_loadu_si256(at + 1)};
    if (BITS != 4) return bytes;
    const __m256i mask = _mm256_set1_epi8(15);
    if (half == 0) return {_mm256_and_si256(bytes.low, mask), _mm256_and_si256(bytes.high, mask)};
    return {_mm256_and_si256(_mm256_srli_epi16(bytes.low, 4), mask),
            _mm256_and_si256(_mm256_srli_epi16(bytes.high, 4), mask)};
  }
};

}  // namespace
}  // namespace anyres
