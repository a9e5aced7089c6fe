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

  // As intrinsics, GCC 12 copies the sums to other registers and to memory in every round.
  static ANYRES_INLINE void dot(Ints &sum, const Ints &codes, __m256i columns) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.low) : "x"(codes.low), "x"(columns));
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.high) : "x"(codes.high), "x"(columns));
  }

  template <int R, int BITS, int... I>
  static ANYRES_INLINE void step(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t k, int half,
                                 Each<I...>) {
    (dot(sums[I], codes_of<BITS>(codes[I % R], k, half), four(x[I / R] + k + 4 * half)), ...);
  }

  template <int R, int BITS, class All>
  static ANYRES_INLINE void group(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t columns, int,
                                  All all) {
    int64_t k = 0;
    do {
      step<R, BITS>(sums, codes, x, k, 0, all);
      step<R, BITS>(sums, codes, x, k, 1, all);
    } while ((k += 8) < columns);
  }
};

}  // namespace
}  // namespace anyres

#include "linear.h"
// After linear.h, whose functions it uses.
#include "attention.h"
namespace anyres {
namespace {
constexpr Kernels kKernels = {pack_head, attend, quantize_token, multiply_panel};
}
const Kernels *const kAvxVnni = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvxVnni = nullptr;
}
#endif
