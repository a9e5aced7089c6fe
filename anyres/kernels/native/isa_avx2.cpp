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
  static constexpr int kTiles = 1, kTilesOfOne = 2;

  static __m256i widened(__m256i sum, __m256i pairs) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }

  static __m256i pairs_of(__m256i codes, __m256i columns) { return _mm256_maddubs_epi16(codes, columns); }
  static __m256i centred_pairs_of(__m256i codes, __m256i columns) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(codes), _mm256_sign_epi8(columns, codes));
  }

  template <int T, int R, int BITS>
  static void group(Ints (&sums)[T][R], const uint8_t *const (&codes)[R], const int8_t *const (&x)[T], int64_t columns,
                    int bits) {
    if constexpr (BITS == 8) return centred_group<T, R>(sums, codes, x, columns);
    const int64_t run = BITS == 4 || bits == 4 ? 32 : bits == 5 ? 16 : 8;
    for (int64_t first = 0; first < columns; first += run) {
      const int64_t last = first + run < columns ? first + run : columns;
      if (bits == 7) seven_bits<T, R>(sums, codes, x, first, last);
      else narrow<T, R, BITS>(sums, codes, x, first, last);
    }
  }

  template <int T, int R, int BITS>
  static void narrow(Ints (&sums)[T][R], const uint8_t *const (&codes)[R], const int8_t *const (&x)[T], int64_t first,
                     int64_t last) {
    Ints pairs[T][R];
    for (int t = 0; t < T; ++t)
      for (int r = 0; r < R; ++r) pairs[t][r] = whole(0);
    for (int64_t k = first; k < last; k += 8)
      for (int half = 0; half < 2; ++half)
        for (int r = 0; r < R; ++r) {
          const Ints tile = codes_of<BITS>(codes[r], k, half);
          for (int t = 0; t < T; ++t) {
            const __m256i columns = four(x[t] + k + 4 * half);
            pairs[t][r].low = _mm256_add_epi16(pairs[t][r].low, pairs_of(tile.low, columns));
            pairs[t][r].high = _mm256_add_epi16(pairs[t][r].high, pairs_of(tile.high, columns));
          }
        }
    for (int t = 0; t < T; ++t)
      for (int r = 0; r < R; ++r) {
        sums[t][r].low = widened(sums[t][r].low, pairs[t][r].low);
        sums[t][r].high = widened(sums[t][r].high, pairs[t][r].high);
      }
  }

  template <int T, int R>
  static void seven_bits(Ints (&sums)[T][R], const uint8_t *const (&codes)[R], const int8_t *const (&x)[T],
                         int64_t first, int64_t last) {
    for (int64_t k = first; k < last; k += 8)
      for (int half = 0; half < 2; ++half)
        for (int r = 0; r < R; ++r) {
          const Ints tile = codes_of<8>(codes[r], k, half);
          for (int t = 0; t < T; ++t) {
            const __m256i columns = four(x[t] + k + 4 * half);
            sums[t][r].low = widened(sums[t][r].low, pairs_of(tile.low, columns));
            sums[t][r].high = widened(sums[t][r].high, pairs_of(tile.high, columns));
          }
        }
  }

  template <int T, int R>
  static void centred_group(Ints (&sums)[T][R], const uint8_t *const (&codes)[R], const int8_t *const (&x)[T],
                            int64_t columns_of_group) {
    const __m256i centre = _mm256_set1_epi8(char(-128));
    for (int64_t k = 0; k < columns_of_group; k += 8)
      for (int half = 0; half < 2; ++half)
        for (int r = 0; r < R; ++r) {
          Ints tile = codes_of<8>(codes[r], k, half);
          tile = {_mm256_xor_si256(tile.low, centre), _mm256_xor_si256(tile.high, centre)};
          for (int t = 0; t < T; ++t) {
            const __m256i columns = four(x[t] + k + 4 * half);
            sums[t][r].low = widened(sums[t][r].low, centred_pairs_of(tile.low, columns));
            sums[t][r].high = widened(sums[t][r].high, centred_pairs_of(tile.high, columns));
          }
        }
  }
};

}  // namespace
}  // namespace anyres

#include "linear.h"
namespace anyres {
const Kernels *const kAvx2 = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvx2 = nullptr;
}
#endif
