// Rotary positions for one instruction set; included after linear.h.
#include "plan.h"

namespace anyres {
namespace {

void write_value(void *values, int32_t type, int64_t index, float value) {
  if (type == TYPE_FLOAT32) {
    memcpy(static_cast<char *>(values) + 4 * index, &value, 4);
    return;
  }
  const uint16_t half = to_bfloat16(value);
  memcpy(static_cast<char *>(values) + 2 * index, &half, 2);
}

template <int32_t TYPE>
void rotate_head(const AnyresRotate &call, int64_t at, const float *cosines, const float *sines) {
  const int64_t half = call.width / 2;
  for (int64_t i = 0; i < half; ++i) {
    const float first = read_value(call.x, TYPE, at + i), second = read_value(call.x, TYPE, at + half + i);
    write_value(call.x, TYPE, at + i, first * cosines[i] - second * sines[i]);
    write_value(call.x, TYPE, at + half + i, second * cosines[half + i] + first * sines[half + i]);
  }
}

void rotate_token(const AnyresRotate &call, int64_t token) {
  const float *cosines = call.cosines + token * call.width, *sines = call.sines + token * call.width;
  for (int64_t head = 0; head < call.heads; ++head) {
    const int64_t at = token * call.x_stride + head * call.width;
    if (call.x_type == TYPE_FLOAT32) rotate_head<TYPE_FLOAT32>(call, at, cosines, sines);
    else rotate_head<TYPE_BFLOAT16>(call, at, cosines, sines);
  }
}

}  // namespace
}  // namespace anyres
