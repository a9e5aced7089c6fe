// AVX2 with AVX-VNNI (client processors since 2021): as AVX-512 VNNI, a tile in two registers.
#include "plan.h"

#if defined(__AVXVNNI__) && defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#include <immintrin.h>
#include <string.h>

#include "avx2.h"
#include "vnni.h"

namespace anyres {
namespace {

struct AvxVnni : Avx2 {
  static constexpr int kTokens = 6;
  static constexpr bool kCentred = false;
  static constexpr int kTiles = 1;

  // As intrinsics, GCC 12 copies the sums to other registers and to memory in every round.
  static ANYRES_INLINE void dot(Ints &sum, const Ints &codes, __m256i columns) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.low) : "x"(codes.low), "x"(columns));
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum.high) : "x"(codes.high), "x"(columns));
  }
};

using Isa = Vnni<AvxVnni>;

}  // namespace
}  // namespace anyres

#include "isa_end.h"
namespace anyres {
const Kernels *const kAvxVnni = &kKernels;
}
#else
namespace anyres {
const Kernels *const kAvxVnni = nullptr;
}
#endif
