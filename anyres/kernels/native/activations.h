// What happens to a row of activations before it is multiplied, for one instruction set: a norm or a gate where there is
// one, and then each group rounded to whole 1/127ths of its largest value. Included by linear.h.
//
// Sums over a row go in 16 lanes, always in the same order, so every processor gets the same bits.
#include <math.h>
#include <string.h>

#include "plan.h"

namespace anyres {
namespace {

float read_value(const void *values, int32_t type, int64_t index) {
  if (type == TYPE_FLOAT32) {
    float value;
    memcpy(&value, static_cast<const char *>(values) + 4 * index, 4);
    return value;
  }
  uint16_t half;
  memcpy(&half, static_cast<const char *>(values) + 2 * index, 2);
  const uint32_t bits = uint32_t(half) << 16;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

uint16_t to_bfloat16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16) | 0x40;
  return uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// 2^x within 3e-7 of it, for x from -126 to 126 (others count as those): 2^(whole part) by its exponent, the rest by a
// polynomial in (-0.5, 0.5). Source of the coefficients: Taylor series, ln(2)^i / i!.
float power_of_two(float x) {
  x = x < -126.0f ? -126.0f : x;
  x = x > 126.0f ? 126.0f : x;
  const float shifted = x + 12582912.0f;
  const float rest = x - (shifted - 12582912.0f);
  float power = 1.5403530e-4f;
  power = power * rest + 1.3333558e-3f;
  power = power * rest + 9.6181291e-3f;
  power = power * rest + 5.5504109e-2f;
  power = power * rest + 2.4022651e-1f;
  power = power * rest + 6.9314718e-1f;
  power = power * rest + 1.0f;
  int32_t bits;
  memcpy(&bits, &shifted, 4);
  const int32_t exponent = int32_t(uint32_t(bits - 0x4B400000 + 127) << 23);
  float scale;
  memcpy(&scale, &exponent, 4);
  return power * scale;
}

// ---- norms and gates

void read_values(const void *from, int32_t type, int64_t start, int64_t count, float *values) {
  if (type == TYPE_FLOAT32) {
    memcpy(values, static_cast<const char *>(from) + 4 * start, size_t(count) * 4);
  } else {
    for (int64_t k = 0; k < count; ++k) values[k] = read_value(from, TYPE_BFLOAT16, start + k);
  }
}

struct Moments {
  float mean, scale;
};

// The sum over a row of x - mean, or of its square.
float sum_row(const Plan &plan, int64_t token, float mean, bool squared) {
  const AnyresLinear &call = *plan.call;
  float lanes[kTileRows] = {}, values[kTileRows];
  for (int64_t first = 0; first < plan.columns; first += kTileRows) {
    const int64_t left = plan.columns - first, count = left < kTileRows ? left : kTileRows;
    read_values(call.x, call.x_type, token * call.x_stride + first, count, values);
    for (int64_t k = count; k < kTileRows; ++k) values[k] = mean;
    for (int64_t k = 0; k < kTileRows; ++k) {
      const float value = values[k] - mean;
      lanes[k] += squared ? value * value : value;
    }
  }
  return Isa::sum(Isa::load(lanes, 0, TYPE_FLOAT32));
}

Moments moments_of(const Plan &plan, int64_t token) {
  const AnyresLinear &call = *plan.call;
  const float count = float(plan.columns);
  if (call.before != BEFORE_RMS_NORM && call.before != BEFORE_LAYER_NORM) return {0.0f, 1.0f};
  const float mean = call.before == BEFORE_LAYER_NORM ? sum_row(plan, token, 0.0f, false) / count : 0.0f;
  return {mean, 1.0f / sqrtf(sum_row(plan, token, mean, true) / count + call.norm_eps)};
}

float sigmoid(float x) { return 1.0f / (1.0f + power_of_two(x * -1.44269504f)); }  // log2(e)

void transform(const Plan &plan, int64_t token, int64_t first, int64_t count, const Moments &row, float *values) {
  const AnyresLinear &call = *plan.call;
  switch (call.before) {
    case BEFORE_RMS_NORM:
      for (int64_t k = 0; k < count; ++k) values[k] = values[k] * row.scale * call.norm_weight[first + k];
      return;
    case BEFORE_LAYER_NORM:
      for (int64_t k = 0; k < count; ++k)
        values[k] = (values[k] - row.mean) * row.scale * call.norm_weight[first + k] + call.norm_bias[first + k];
      return;
    case BEFORE_QUICK_GELU:
      for (int64_t k = 0; k < count; ++k) values[k] *= sigmoid(values[k] * 1.702f);
      return;
    case BEFORE_SWIGLU: {
      float up[kLongestGroup];
      read_values(call.x, call.x_type, token * call.x_stride + plan.columns + first, count, up);
      for (int64_t k = 0; k < count; ++k) values[k] = values[k] * sigmoid(values[k]) * up[k];
      return;
    }
    default: return;
  }
}

// ---- each group rounded to whole 1/127ths of its largest value

constexpr float kSmallest = 7.888609052210118e-31f;  // 2^-100
constexpr uint32_t kInfinity = 0x7f800000;

void read_group(const Plan &plan, int64_t token, int64_t first, const Moments &row, float *values) {
  const AnyresLinear &call = *plan.call;
  const int64_t left = plan.columns - first, count = left < plan.group ? left : plan.group;
  read_values(call.x, call.x_type, token * call.x_stride + first, count, values);
  transform(plan, token, first, count, row, values);
  for (int64_t k = count; k < plan.group; ++k) values[k] = 0.0f;
}

uint32_t largest_bits(const float *values, int64_t count) {
  uint32_t largest = 0;
  for (int64_t k = 0; k < count; ++k) {
    uint32_t bits;
    memcpy(&bits, values + k, 4);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return largest;
}

// Ties to even: adding 1.5 * 2^23 leaves no bits for a fraction.
int32_t round_codes(const float *values, int64_t count, float steps, int8_t *codes) {
  int32_t sum = 0;
  for (int64_t k = 0; k < count; ++k) {
    const float shifted = values[k] * steps + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &shifted, 4);
    const int32_t code = bits - 0x4B400000;
    codes[k] = int8_t(code);
    sum += code;
  }
  return sum;
}

void quantize_token(const Plan &plan, int64_t token) {
  const int64_t width = plan.group;
  const Moments row = moments_of(plan, token);
  for (int64_t g = 0; g < plan.groups; ++g) {
    float values[kLongestGroup];
    read_group(plan, token, g * width, row, values);
    const uint32_t bits = largest_bits(values, width);
    float largest;
    memcpy(&largest, &bits, 4);
    int8_t *codes = plan.codes + token * plan.stored + g * width;
    const int64_t at = token * plan.groups + g;
    float scale = 0.0f;
    int32_t sum = 0;
    if (bits < kInfinity && largest >= kSmallest) {
      scale = largest / 127.0f;
      sum = round_codes(values, width, 127.0f / largest, codes);
    } else {
      memset(codes, 0, size_t(width));
      if (bits >= kInfinity) scale = __builtin_nanf("");
    }
    plan.scales[at] = scale;
    plan.scaled_sums[at] = float(sum) * scale;
    plan.sums[at] = 128 * sum;
  }
}

}  // namespace
}  // namespace anyres
