// A pool of threads that share the items of one call.
#pragma once
#include <stdint.h>

namespace anyres {

// Runs work(argument, item) for every item from 0 to items-1 on the caller and at most threads-1 helpers; returns when all
// are done. While one caller uses the helpers, calls from other threads do their items alone, so nothing ever waits in turn.
void share(int32_t threads, int64_t items, void (*work)(void *argument, int64_t item), void *argument);

}  // namespace anyres
