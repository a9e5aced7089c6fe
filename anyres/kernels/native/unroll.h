// Loops written out by the compiler's front end, so that arrays of registers stay in registers: a function takes
// `Each<I...>` and does something for every I. Lambdas would do as well, but GCC then keeps the array in memory.
#pragma once
#include <utility>

#if defined(_MSC_VER)
#define ANYRES_INLINE __forceinline
#define ANYRES_APART __declspec(noinline)
#else
#define ANYRES_INLINE inline __attribute__((always_inline))
#define ANYRES_APART __attribute__((noinline))
#endif

namespace anyres {

template <int... I>
using Each = std::integer_sequence<int, I...>;

template <int COUNT>
constexpr std::make_integer_sequence<int, COUNT> each() {
  return {};
}

}  // namespace anyres
