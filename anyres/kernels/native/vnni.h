// What the two instruction sets with VNNI share: one instruction multiplies a tile, or half of one, with 4 columns of a
// token. `Registers` has Ints, `dot`, `codes_of` and `four`.
#pragma once
#include <stdint.h>

#include "unroll.h"

namespace anyres {
namespace {

template <class Registers>
struct Vnni : Registers {
  using Ints = typename Registers::Ints;

  template <int R, int BITS, int... I>
  static ANYRES_INLINE void step(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t k, int half,
                                 Each<I...>) {
    (Registers::dot(sums[I], Registers::template codes_of<BITS>(codes[I % R], k, half),
                    Registers::four(x[I / R] + k + 4 * half)),
     ...);
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
