// AVX2 with AVX-VNNI (client processors since 2021): as AVX-512 VNNI, a tile in two registers.
#include "plan.h"

#if defined(__AVXVNNI__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#include <string.h>

#include "avx2.h"

namespace anyres {
namespace {

struct Isa : Avx2 {
  static constexpr int kTokens = 6;
  static constexpr bool kCentred = false;
  static constexpr int kTiles = 1, kTilesOfOne = 4;

  static void dot(Ints &sum, const Ints &codes, __m256i columns) {
    sum.low = _mm256_dpbusd_avx_epi32(sum.low, codes.low, columns);
    sum.high = _mm256_dpbusd_avx_epi32(sum.high, codes.high, columns);
  }

  template <int T, int R, int BITS>
  static void group(Ints (&sums)[T][R], const uint8_t *const (&codes)[R], const int8_t *const (&x)[T], int64_t columns,
                    int) {
    for (int64_t k = 0; k < columns; k += 8)
      for (int half = 0; half < 2; ++half)
        for (int r = 0; r < R; ++r) {
          const Ints tile = codes_of<BITS>(codes[r], k, half);
          for (int t = 0; t < T; ++t) dot(sums[t][r], tile, four(x[t] + k + 4 * half));
        }
  }
};

}  // namespace
}  // namespace anyres

#include "linear.h"
namespace anyres {
const Kernels *const kAvxVnni = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvxVnni = nullptr;
}
#endif
