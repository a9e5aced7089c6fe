// NEON with the dot-product instructions (ARMv8.2): both sides are signed, so 8-bit codes are taken minus 128.
#include "plan.h"
#include "unroll.h"

#if defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#include <string.h>

namespace anyres {
namespace {

struct Isa {
  struct Ints {
    int32x4_t part[4];
  };
  struct Floats {
    float32x4_t part[4];
  };
  static constexpr int kTokens = 4;
  static constexpr bool kCentred = true;
  static constexpr int kTiles = 1;
  static constexpr int kFloatTokens = 6, kFloatTiles = 1;

  static Ints whole(int32_t value) {
    const int32x4_t part = vdupq_n_s32(value);
    return {{part, part, part, part}};
  }
  static Floats zeros() {
    const float32x4_t part = vdupq_n_f32(0.0f);
    return {{part, part, part, part}};
  }
  static Floats times(Floats a, float b) {
    for (auto &part : a.part) part = vmulq_n_f32(part, b);
    return a;
  }
  static Floats add_scaled(Floats total, Floats a, float b) {
    for (int i = 0; i < 4; ++i) total.part[i] = vfmaq_n_f32(total.part[i], a.part[i], b);
    return total;
  }
  static Floats add_product(Floats total, Ints sum, Floats step) {
    for (int i = 0; i < 4; ++i) total.part[i] = vfmaq_f32(total.part[i], vcvtq_f32_s32(sum.part[i]), step.part[i]);
    return total;
  }
  static Floats larger(Floats a, Floats b) {
    for (int i = 0; i < 4; ++i) a.part[i] = vmaxnmq_f32(a.part[i], b.part[i]);
    return a;
  }
  static float largest(Floats x) {
    return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(x.part[0], x.part[1]), vmaxnmq_f32(x.part[2], x.part[3])));
  }
  static float sum(Floats x) {
    const float32x4_t four = vaddq_f32(vaddq_f32(x.part[0], x.part[2]), vaddq_f32(x.part[1], x.part[3]));
    const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
  }
  static Floats plus(Floats a, Floats b) {
    for (int i = 0; i < 4; ++i) a.part[i] = vaddq_f32(a.part[i], b.part[i]);
    return a;
  }
  static void store(float *values, Floats x) {
    for (int i = 0; i < 4; ++i) vst1q_f32(values + 4 * i, x.part[i]);
  }
  static Floats load(const void *values, int64_t index, int32_t type) {
    Floats loaded;
    for (int i = 0; i < 4; ++i) {
      if (type == TYPE_FLOAT32) {
        memcpy(&loaded.part[i], static_cast<const char *>(values) + 4 * (index + 4 * i), 16);
      } else {
        float16x4_t halves;
        memcpy(&halves, static_cast<const char *>(values) + 2 * (index + 4 * i), 8);
        loaded.part[i] = vcvt_f32_f16(halves);
      }
    }
    return loaded;
  }

  static Floats load_bfloat16(const char *at) {
    Floats loaded;
    for (int i = 0; i < 4; ++i) {
      uint16x4_t halves;
      memcpy(&halves, at + 8 * i, 8);
      loaded.part[i] = vreinterpretq_f32_u32(vshll_n_u16(halves, 16));
    }
    return loaded;
  }
  static Floats load_int8(const char *at) {
    int8x16_t bytes;
    memcpy(&bytes, at, 16);
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_s8(vget_high_s8(bytes));
    return {{vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(low))),
             vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), vcvtq_f32_s32(vmovl_s16(vget_high_s16(high)))}};
  }

  // to[c][r] = rows[r][column + c], 16 by 16 values, 4 by 4 at a time.
  static void turn(const float *const *rows, int64_t column, float *to, int64_t stride) {
    for (int r = 0; r < kTileRows; r += 4)
      for (int c = 0; c < kTileRows; c += 4) {
        float32x4_t x[4];
        for (int i = 0; i < 4; ++i) memcpy(&x[i], rows[r + i] + column + c, 16);
        const float32x4x2_t even = vtrnq_f32(x[0], x[1]), odd = vtrnq_f32(x[2], x[3]);
        float *at = to + c * stride + r;
        vst1q_f32(at, vcombine_f32(vget_low_f32(even.val[0]), vget_low_f32(odd.val[0])));
        vst1q_f32(at + stride, vcombine_f32(vget_low_f32(even.val[1]), vget_low_f32(odd.val[1])));
        vst1q_f32(at + 2 * stride, vcombine_f32(vget_high_f32(even.val[0]), vget_high_f32(odd.val[0])));
        vst1q_f32(at + 3 * stride, vcombine_f32(vget_high_f32(even.val[1]), vget_high_f32(odd.val[1])));
      }
  }

  static int8x16_t four(const int8_t *x) {
    int32_t columns;
    memcpy(&columns, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(columns));
  }

  template <int BITS>
  static int8x16_t codes_of(const uint8_t *codes, int64_t k, int half, int part) {
    const uint8x16_t bytes = vld1q_u8(codes + (BITS == 4 ? 8 * k : 16 * k + kTileBytes * half) + 16 * part);
    if (BITS == 8) return vreinterpretq_s8_u8(veorq_u8(bytes, vdupq_n_u8(128)));
    if (BITS != 4) return vreinterpretq_s8_u8(bytes);
    return vreinterpretq_s8_u8(half == 0 ? vandq_u8(bytes, vdupq_n_u8(15)) : vshrq_n_u8(bytes, 4));
  }

  template <int BITS>
  static ANYRES_INLINE void dot(Ints &sum, const uint8_t *codes, const int8_t *x, int64_t k, int half) {
    const int8x16_t columns = four(x + k + 4 * half);
    for (int part = 0; part < 4; ++part)
      sum.part[part] = vdotq_s32(sum.part[part], codes_of<BITS>(codes, k, half, part), columns);
  }

  template <int R, int BITS, int... I>
  static ANYRES_INLINE void group(Ints *sums, const uint8_t *const *codes, const int8_t *const *x, int64_t columns, int,
                                  Each<I...>) {
    int64_t k = 0;
    do {
      (dot<BITS>(sums[I], codes[I % R], x[I / R], k, 0), ...);
      (dot<BITS>(sums[I], codes[I % R], x[I / R], k, 1), ...);
    } while ((k += 8) < columns);
  }
};

}  // namespace
}  // namespace anyres

#include "isa_end.h"
namespace anyres {
const Kernels *const kNeonDot = &kKernels;
}
#else
namespace anyres {
const Kernels *const kNeonDot = nullptr;
}
#endif
