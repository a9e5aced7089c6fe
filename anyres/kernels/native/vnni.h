// What the two instruction sets with VNNI share: one instruction multiplies a tile, or half of one, with 4 columns of a
// token. `Registers` has Ints, `dot`, `codes_of` and `four`.
#pragma once
#include <stdint.h>

#include <type_traits>

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
    if constexpr (std::is_same_v<All, Each<0>>) return group_of_one<BITS>(*sums, *codes, *x, columns);
    int64_t k = 0;
    do {
      step<R, BITS>(sums, codes, x, k, 0, all);
      step<R, BITS>(sums, codes, x, k, 1, all);
    } while ((k += 8) < columns);
  }

  // One tile by one token: each half has a sum of its own, or every product would wait for the one before.
  template <int BITS>
  static ANYRES_INLINE void group_of_one(Ints &sum, const uint8_t *codes, const int8_t *x, int64_t columns) {
    Ints odd = Registers::whole(0);
    int64_t k = 0;
    do {
      Registers::dot(sum, Registers::template codes_of<BITS>(codes, k, 0), Registers::four(x + k));
      Registers::dot(odd, Registers::template codes_of<BITS>(codes, k, 1), Registers::four(x + k + 4));
    } while ((k += 8) < columns);
    sum = Registers::plus(sum, odd);
  }
};

}  // namespace
}  // namespace anyres
