// What the doors of the library share: which kernels a call means, memory that stays, and whose an item of work is.
#pragma once
#include <stdlib.h>

#include "plan.h"

namespace anyres {

// Null where there are none.
const Kernels *kernels_of(int32_t isa);

// Memory that a thread keeps from call to call.
struct Scratch {
  char *bytes = nullptr;
  size_t size = 0;
  ~Scratch() { free(bytes); }
  char *at_least(size_t wanted) {
    if (wanted <= size) return bytes;
    free(bytes);
    bytes = static_cast<char *>(malloc(wanted));
    size = bytes == nullptr ? 0 : wanted;
    return bytes;
  }
};

// The sequence that holds number `at`, where sequence i holds those from first[i].
inline int64_t sequence_of(const int64_t *first, int64_t sequences, int64_t at) {
  int64_t low = 0, high = sequences;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (first[middle] <= at ? low : high) = middle;
  }
  return low;
}

}  // namespace anyres
