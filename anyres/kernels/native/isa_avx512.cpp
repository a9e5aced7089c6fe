// AVX-512 with VNNI: one register is a tile, one instruction multiplies it with 4 columns of a token.
#include "plan.h"
#include "unroll.h"

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include <immintrin.h>
#include <string.h>

#include "vnni.h"

namespace anyres {
namespace {

struct Avx512 {
  using Ints = __m512i;
  using Floats = __m512;
  static constexpr int kTokens = 6;
  static constexpr bool kCentred = false;
  static constexpr int kTiles = 4;
  static constexpr int kFloatTokens = 12, kFloatTiles = 2;

  static Ints whole(int32_t value) { return _mm512_set1_epi32(value); }
  static Ints plus(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
  static Floats zeros() { return _mm512_setzero_ps(); }
  static Floats times(Floats a, float b) { return _mm512_mul_ps(a, _mm512_set1_ps(b)); }
  static Floats add_scaled(Floats total, Floats a, float b) { return _mm512_fmadd_ps(a, _mm512_set1_ps(b), total); }
  static Floats add_product(Floats total, Ints sum, Floats step) {
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), step, total);
  }
  static Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
  static float largest(Floats x) { return _mm512_reduce_max_ps(x); }
  static float sum(Floats x) {
    const __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1));
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
  static Floats plus(Floats a, Floats b) { return _mm512_add_ps(a, b); }
  static void store(float *values, Floats x) { _mm512_storeu_ps(values, x); }
  static Floats load(const void *values, int64_t index, int32_t type) {
    if (type == TYPE_FLOAT32) return _mm512_loadu_ps(static_cast<const char *>(values) + 4 * index);
    const void *at = static_cast<const char *>(values) + 2 * index;
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i *>(at)));
  }

  static Floats load_bfloat16(const char *at) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(at)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static Floats load_int8(const char *at) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(at))));
  }

  // to[c][r] = rows[r][column + c], 16 by 16 values: pairs, fours, eights, all.
  static void turn(const float *const *rows, int64_t column, float *to, int64_t stride) {
    __m512 pairs[16], fours[16], eights[16];
    for (int i = 0; i < 16; i += 2) {
      const __m512 a = _mm512_loadu_ps(rows[i] + column), b = _mm512_loadu_ps(rows[i + 1] + column);
      pairs[i] = _mm512_unpacklo_ps(a, b);
      pairs[i + 1] = _mm512_unpackhi_ps(a, b);
    }
    for (int i = 0; i < 16; i += 4)
      for (int j = 0; j < 2; ++j) {
        fours[i + 2 * j] = _mm512_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0x44);
        fours[i + 2 * j + 1] = _mm512_shuffle_ps(pairs[i + j], pairs[i + 2 + j], 0xee);
      }
    for (int i = 0; i < 4; ++i)  // columns i and i+8, then i+4 and i+12, of rows 0 to 7 and of 8 to 15
      for (int j = 0; j < 2; ++j) {
        eights[8 * j + i] = _mm512_shuffle_f32x4(fours[8 * j + i], fours[8 * j + i + 4], 0x88);
        eights[8 * j + i + 4] = _mm512_shuffle_f32x4(fours[8 * j + i], fours[8 * j + i + 4], 0xdd);
      }
    for (int i = 0; i < 8; ++i) {
      _mm512_storeu_ps(to + i * stride, _mm512_shuffle_f32x4(eights[i], eights[i + 8], 0x88));
      _mm512_storeu_ps(to + (i + 8) * stride, _mm512_shuffle_f32x4(eights[i], eights[i + 8], 0xdd));
    }
  }

  static __m512i four(const int8_t *x) {
    int32_t columns;
    memcpy(&columns, x, 4);
    return _mm512_set1_epi32(columns);
  }

  // Half 0 or 1 of 8 columns: columns k to k+3, or k+4 to k+7.
  template <int BITS>
  static ANYRES_INLINE __m512i codes_of(const uint8_t *codes, int64_t k, int half) {
    if (BITS != 4) return _mm512_loadu_si512(codes + 16 * k + kTileBytes * half);
    const __m512i pair = _mm512_loadu_si512(codes + 8 * k);
    return _mm512_and_si512(half == 0 ? pair : _mm512_srli_epi16(pair, 4), _mm512_set1_epi8(15));
  }

  // As an intrinsic, GCC 12 copies the sums to other registers and to memory in every round.
  static ANYRES_INLINE void dot(Ints &sum, Ints codes, Ints columns) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(codes), "v"(columns));
  }
};

using Isa = Vnni<Avx512>;

}  // namespace
}  // namespace anyres

#include "isa_end.h"
namespace anyres {
const Kernels *const kAvx512Vnni = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvx512Vnni = nullptr;
}
#endif
