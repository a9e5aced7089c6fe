// Helpers spin for a moment after each call, for the next layer comes within microseconds, and then sleep.
// A helper joins a call only if it comes in time: the caller never waits for one that the system has not woken yet.
#include "pool.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#if !defined(_WIN32)
#include <unistd.h>
#endif
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace anyres {
namespace {

constexpr auto kSpin = std::chrono::microseconds(100);
constexpr int32_t kMostHelpers = 255;

// The gate holds the number of the call, whether it is closed, how many helpers have joined it and how many may.
constexpr uint64_t kClosed = 1ull << 31;
constexpr uint64_t kJoinOne = 1ull << 16;
uint64_t number_of(uint64_t gate) { return gate >> 32; }
uint64_t joined_in(uint64_t gate) { return (gate >> 16) & 0x7fff; }
uint64_t limit_of(uint64_t gate) { return gate & 0xffff; }

void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

int64_t process() {
#if defined(_WIN32)
  return 0;
#else
  return getpid();
#endif
}

class Pool {
 public:
  explicit Pool(int64_t owner) : owner_(owner) {}
  int64_t owner() const { return owner_; }

  bool take() { return !busy_.exchange(true, std::memory_order_acquire); }
  void release() { busy_.store(false, std::memory_order_release); }

  void run(int32_t helpers, int64_t items, void (*work)(void *, int64_t), void *argument) {
    grow(helpers);
    work_ = work;
    argument_ = argument;
    items_ = items;
    next_.store(0, std::memory_order_relaxed);
    finished_.store(0, std::memory_order_relaxed);
    gate_.store((++number_ << 32) | uint64_t(helpers));
    if (sleepers_.load() > 0) {
      std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_all();
    }
    do_items();
    const uint64_t joined = joined_in(gate_.fetch_or(kClosed));
    for (int64_t turns = 0; finished_.load(std::memory_order_acquire) != joined; ++turns) {
      if (turns < 20000) relax();
      else std::this_thread::yield();
    }
  }

 private:
  void grow(int32_t helpers) {
    while (started_ < helpers) {
      try {
        std::thread([this, seen = number_] { serve(seen); }).detach();
      } catch (const std::system_error &) {
        return;  // no more threads to be had: the call is done by those there are
      }
      ++started_;
    }
  }

  void do_items() {
    for (int64_t item; (item = next_.fetch_add(1, std::memory_order_relaxed)) < items_;) work_(argument_, item);
  }

  void serve(uint64_t seen) {
    for (;;) {
      uint64_t gate = await(seen);
      seen = number_of(gate);
      if (join(gate)) {
        do_items();
        finished_.fetch_add(1, std::memory_order_release);
      }
    }
  }

  bool join(uint64_t gate) {
    const uint64_t number = number_of(gate);
    while (number_of(gate) == number && !(gate & kClosed) && joined_in(gate) < limit_of(gate)) {
      if (gate_.compare_exchange_weak(gate, gate + kJoinOne)) return true;
    }
    return false;
  }

  uint64_t await(uint64_t seen) {
    const auto until = std::chrono::steady_clock::now() + kSpin;
    do {
      for (int i = 0; i < 64; ++i) {
        const uint64_t gate = gate_.load(std::memory_order_acquire);
        if (number_of(gate) != seen) return gate;
        relax();
      }
    } while (std::chrono::steady_clock::now() < until);
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1);
    wake_.wait(lock, [&] { return number_of(gate_.load()) != seen; });
    sleepers_.fetch_sub(1);
    return gate_.load();
  }

  const int64_t owner_;
  std::atomic<bool> busy_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<int32_t> sleepers_{0};
  int32_t started_ = 0;
  uint64_t number_ = 0;
  void (*work_)(void *, int64_t) = nullptr;
  void *argument_ = nullptr;
  int64_t items_ = 0;
  alignas(64) std::atomic<uint64_t> gate_{0};
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint64_t> finished_{0};
};

// Never freed: its threads live as long as the process. A forked process has none of them and gets a pool of its own.
Pool *pool_of_this_process() {
  static std::atomic<Pool *> current{nullptr};
  Pool *pool = current.load(std::memory_order_acquire);
  while (pool == nullptr || pool->owner() != process()) {
    Pool *fresh = new (std::nothrow) Pool(process());
    if (fresh == nullptr) return nullptr;
    if (current.compare_exchange_strong(pool, fresh)) return fresh;
    delete fresh;
  }
  return pool;
}

}  // namespace

void share(int32_t threads, int64_t items, void (*work)(void *, int64_t), void *argument) {
  int64_t helpers = (threads < items ? threads : items) - 1;
  if (helpers > kMostHelpers) helpers = kMostHelpers;
  Pool *pool = helpers > 0 ? pool_of_this_process() : nullptr;
  if (pool == nullptr || !pool->take()) {
    for (int64_t item = 0; item < items; ++item) work(argument, item);
    return;
  }
  pool->run(int32_t(helpers), items, work, argument);
  pool->release();
}

}  // namespace anyres
