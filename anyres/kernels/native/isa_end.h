// What every isa_*.cpp ends with: the kernels of its `Isa`, in an unnamed namespace, as `kKernels`.
#include "linear.h"
// After linear.h, whose functions it uses.
#include "attention.h"
// After attention.h, likewise.
#include "exact_attention.h"
#include "rotate.h"

namespace anyres {
namespace {

constexpr Kernels kKernels = {rotate_token, read_block, attend_exactly, pack_head, attend, quantize_token, multiply_panel};

}  // namespace
}  // namespace anyres
