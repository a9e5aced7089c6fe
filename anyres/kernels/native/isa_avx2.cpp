// AVX2: `maddubs` multiplies codes by activations and adds pairs in 16 bits, where a sum of 8 pairs of 4-bit codes fits,
// of 4 pairs of 5 bits, of 2 of 6 bits and of 1 of 7 bits: 8 * 2 * 15 * 127 = 30480 < 2^15. Then it is widened to 32.
// Codes of 8 bits do not fit: they are taken minus 128, and their sign goes over to the activation.
#include "plan.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include "avx2.h"

namespace anyres {
namespace {

struct Isa : Avx2 {
  static constexpr int kTokens = 4;
  static constexpr bool kCentred = true;
  static constexpr int kTiles = 1;

  static ANYRES_INLINE __m256i widened(__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  template <bool CENTRED>
  static ANYRES_INLINE __m256i pairs_of(__m256i codes, __m256i columns) {
    if (!CENTRED) return _mm256_maddubs_epi16(codes, columns);
    return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(columns, codes));
  }

  template <int R, int BITS, int... I>
  static ANYRES_INLINE void group(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t columns,
                                  int bits, Each<I...> all) {
    if constexpr (BITS == 8) {
      wide<R, true>(sums, codes, x, columns, all);
    } else if (bits == 7) {
      wide<R, false>(sums, codes, x, columns, all);
    } else {
      const int64_t run = BITS == 4 ? 32 : bits == 5 ? 16 : 8;
      for (int64_t k = 0; k < columns; k += run)
        narrow<R, BITS>(sums, codes, x, k, k + run < columns ? k + run : columns, all);
    }
  }

  static ANYRES_INLINE void add_pairs(Ints &pairs, const Ints &codes, __m256i columns) {
    pairs.low = _mm256_add_epi16(pairs.low, _mm256_maddubs_epi16(codes.low, columns));
    pairs.high = _mm256_add_epi16(pairs.high, _mm256_maddubs_epi16(codes.high, columns));
  }

  // Sums of 16 bits from column k to `last`, then added to those of 32.
  template <int R, int BITS, int... I>
  static ANYRES_INLINE void narrow(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t k,
                                   int64_t last, Each<I...>) {
    Ints pairs[sizeof...(I)];
    ((pairs[I] = whole(0)), ...);
    do {
      (add_pairs(pairs[I], codes_of<BITS>(codes[I % R], k, 0), four(x[I / R] + k)), ...);
      (add_pairs(pairs[I], codes_of<BITS>(codes[I % R], k, 1), four(x[I / R] + k + 4)), ...);
    } while ((k += 8) < last);
    ((sums[I] = {widened(sums[I].low, pairs[I].low), widened(sums[I].high, pairs[I].high)}), ...);
  }

  template <bool CENTRED>
  static ANYRES_INLINE void add_wide(Ints &sum, Ints codes, __m256i columns) {
    const __m256i centre = _mm256_set1_epi8(char(-128));
    if (CENTRED) codes = {_mm256_xor_si256(codes.low, centre), _mm256_xor_si256(codes.high, centre)};
    sum.low = widened(sum.low, pairs_of<CENTRED>(codes.low, columns));
    sum.high = widened(sum.high, pairs_of<CENTRED>(codes.high, columns));
  }

  // Each pair is widened at once.
  template <int R, bool CENTRED, int... I>
  static ANYRES_INLINE void wide(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t last,
                                 Each<I...>) {
    int64_t k = 0;
    do {
      (add_wide<CENTRED>(sums[I], codes_of<8>(codes[I % R], k, 0), four(x[I / R] + k)), ...);
      (add_wide<CENTRED>(sums[I], codes_of<8>(codes[I % R], k, 1), four(x[I / R] + k + 4)), ...);
    } while ((k += 8) < last);
  }
};

}  // namespace
}  // namespace anyres

#include "isa_end.h"
namespace anyres {
const Kernels *const kAvx2 = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvx2 = nullptr;
}
#endif
