// The custom operations that TF Encrypted 0.9.1 calls, for the TensorFlow at hand: its package carries them compiled for TensorFlow 2.9.1 alone.
// Names, inputs and results are those of tf_encrypted/operations/{secure_random,aux}; the randomness is libsodium's ChaCha20, as there.
//
//     secure_seed() -> int32[8]
//     secure_seeded_random_uniform(shape, seed, minval, maxval), secure_random_uniform(shape, minval, maxval) -> uniform in [minval, maxval)
//     bit_gather(x, start, stride): bits start, start + stride, ... of each element, packed from bit 0
//     bit_split_and_gather(x, stride): bit_gather for start = 0 ... stride - 1, stacked on a new first axis
//     bit_reverse(x): the 64 bits in the other order;    xor_indices(x): the XOR of the positions of the bits that are set
//
// The result runs on any x86-64 processor: loops are compiled for the named levels and chosen among when it is loaded.
#include <immintrin.h>
#include <sodium.h>

#include <cstring>
#include <type_traits>

// Eigen's own vector code is not used here, and what the flags of some processors make of it does not compile (AVX512-FP16 with g++ 12).
#define EIGEN_DONT_VECTORIZE
#include "tensorflow/core/framework/common_shape_fns.h"
#include "tensorflow/core/framework/op.h"
#include "tensorflow/core/framework/op_kernel.h"
#include "tensorflow/core/framework/shape_inference.h"

using namespace tensorflow;
using shape_inference::InferenceContext;
using shape_inference::ShapeHandle;

#define LEVELS __attribute__((target_clones("avx512f", "avx2", "default")))

constexpr int kSeedWords = randombytes_SEEDBYTES / sizeof(int32);

// ---- randomness

// A ChaCha20 stream; randombytes_buf_deterministic is its start.
class Stream {
 public:
  explicit Stream(const unsigned char* seed) : seed_(seed) {}

  void Fill(void* out, size_t bytes) {
    randombytes_buf_deterministic(out, bytes, seed_);
    block_ = bytes / kBlock + 1;
  }

  // What follows the filled part; for the few values that are rejected.
  template <typename U>
  U Next() {
    if (at_ + sizeof(U) > kBlock) {
      static const unsigned char nonce[] = {'L', 'i', 'b', 's', 'o', 'd', 'i', 'u', 'm', 'D', 'R', 'G'};
      std::memset(spare_, 0, kBlock);
      crypto_stream_chacha20_ietf_xor_ic(spare_, spare_, kBlock, nonce, block_++, seed_);
      at_ = 0;
    }
    U value;
    std::memcpy(&value, spare_ + at_, sizeof(U));
    at_ += sizeof(U);
    return value;
  }

 private:
  static constexpr size_t kBlock = 64;
  const unsigned char* seed_;
  unsigned char spare_[kBlock];
  size_t at_ = kBlock;
  uint32 block_ = 0;
};

template <typename U>
struct Wider;
template <>
struct Wider<uint8_t> { using type = uint16_t; };
template <>
struct Wider<uint16_t> { using type = uint32_t; };
template <>
struct Wider<uint32_t> { using type = uint64_t; };
template <>
struct Wider<uint64_t> { using type = unsigned __int128; };

// Uniform in [low, high): multiply and shift, with rejection of what would be biased (Lemire, ACM TOMACS 2019).
template <typename T>
LEVELS void Uniform(Stream stream, T* out, int64_t n, T low, T high) {
  using U = std::make_unsigned_t<T>;
  using W = typename Wider<U>::type;
  stream.Fill(out, n * sizeof(T));
  const U range = static_cast<U>(high) - static_cast<U>(low);
  const U biased = static_cast<U>(-range) % range;
  for (int64_t i = 0; i < n; i++) {
    W product = static_cast<W>(static_cast<U>(out[i])) * range;
    while (static_cast<U>(product) < biased) product = static_cast<W>(stream.Next<U>()) * range;
    out[i] = static_cast<T>(static_cast<U>(low) + static_cast<U>(product >> (8 * sizeof(U))));
  }
}

template <typename T, bool seeded>
class RandomUniform : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    TensorShape shape;
    const Tensor& sizes = context->input(0);
    for (int64_t i = 0; i < sizes.NumElements(); i++) {
      shape.AddDim(sizes.dtype() == DT_INT32 ? sizes.flat<int32>()(i) : sizes.flat<int64_t>()(i));
    }
    const T low = context->input(1 + seeded).scalar<T>()(), high = context->input(2 + seeded).scalar<T>()();
    OP_REQUIRES(context, low < high, absl::InvalidArgumentError("minval must be less than maxval"));
    unsigned char seed[randombytes_SEEDBYTES];
    if (seeded) {
      OP_REQUIRES(context, context->input(1).NumElements() == kSeedWords, absl::InvalidArgumentError("a seed has eight words"));
      std::memcpy(seed, context->input(1).flat<int32>().data(), sizeof(seed));
    } else {
      randombytes_buf(seed, sizeof(seed));
    }
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    Uniform<T>(Stream(seed), output->flat<T>().data(), shape.num_elements(), low, high);
  }
};

class SecureSeed : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, TensorShape({kSeedWords}), &output));
    randombytes_buf(output->flat<int32>().data(), randombytes_SEEDBYTES);
  }
};

absl::Status ShapeFromFirstInput(InferenceContext* context) {
  ShapeHandle out;
  TF_RETURN_IF_ERROR(context->MakeShapeFromShapeTensor(0, &out));
  context->set_output(0, out);
  return absl::OkStatus();
}

const bool sodium_ready = sodium_init() >= 0;  // before any kernel runs

REGISTER_OP("SecureSeed").Output("output: int32").SetIsStateful().SetShapeFn([](InferenceContext* context) {
  context->set_output(0, context->Vector(kSeedWords));
  return absl::OkStatus();
});
REGISTER_OP("SecureSeededRandomUniform")
    .Input("shape: T").Input("seed: Tseed").Input("minval: dtype").Input("maxval: dtype").Output("output: dtype")
    .Attr("dtype: {int8, int16, int32, int64} = DT_INT32").Attr("T: {int32, int64} = DT_INT32").Attr("Tseed: {int32} = DT_INT32")
    .SetShapeFn(ShapeFromFirstInput);
REGISTER_OP("SecureRandomUniform")
    .Input("shape: T").Input("minval: dtype").Input("maxval: dtype").Output("output: dtype")
    .Attr("dtype: {int8, int16, int32, int64} = DT_INT32").Attr("T: {int32, int64} = DT_INT32")
    .SetIsStateful().SetShapeFn(ShapeFromFirstInput);
REGISTER_KERNEL_BUILDER(Name("SecureSeed").Device(DEVICE_CPU), SecureSeed);

// ---- bits

// The bits of each element that the mask has, packed from bit 0. An instruction of its own where the processor has it, and no loop for the compiler to find.
template <typename T>
__attribute__((target("bmi2"))) void PackByInstruction(const T* in, T* out, int64_t n, uint64_t mask) {
  using U = std::make_unsigned_t<T>;
  for (int64_t i = 0; i < n; i++) out[i] = static_cast<T>(_pext_u64(static_cast<U>(in[i]), mask));
}

template <typename T>
void PackBitByBit(const T* in, T* out, int64_t n, uint64_t mask) {
  for (int64_t i = 0; i < n; i++) {
    uint64_t packed = 0;
    int to = 0;
    for (uint64_t rest = mask; rest; rest &= rest - 1) packed |= (static_cast<uint64_t>(in[i]) >> __builtin_ctzll(rest) & 1) << to++;
    out[i] = static_cast<T>(packed);
  }
}

template <typename T>
class BitGather : public OpKernel {
 public:
  explicit BitGather(OpKernelConstruction* context) : OpKernel(context) {
    OP_REQUIRES_OK(context, context->GetAttr("start", &start_));
    OP_REQUIRES_OK(context, context->GetAttr("stride", &stride_));
  }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &output));
    Gather(x, start_, stride_, output->flat<T>().data());
  }

  static void Gather(const Tensor& x, int start, int stride, T* out) {
    uint64_t mask = 0;
    for (size_t bit = start; bit < 8 * sizeof(T); bit += stride) mask |= uint64_t{1} << bit;
    static const auto pack = __builtin_cpu_supports("bmi2") ? PackByInstruction<T> : PackBitByBit<T>;
    pack(x.flat<T>().data(), out, x.NumElements(), mask);
  }

 private:
  int start_, stride_;
};

template <typename T>
class BitSplitAndGather : public OpKernel {
 public:
  explicit BitSplitAndGather(OpKernelConstruction* context) : OpKernel(context) { OP_REQUIRES_OK(context, context->GetAttr("stride", &stride_)); }

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    TensorShape shape = x.shape();
    shape.InsertDim(0, stride_);
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, shape, &output));
    for (int start = 0; start < stride_; start++) BitGather<T>::Gather(x, start, stride_, output->flat<T>().data() + start * x.NumElements());
  }

 private:
  int stride_;
};

template <uint64_t (*f)(uint64_t)>
LEVELS void MapEach(const int64_t* in, int64_t* out, int64_t n) {
  for (int64_t i = 0; i < n; i++) out[i] = static_cast<int64_t>(f(static_cast<uint64_t>(in[i])));
}

template <uint64_t (*f)(uint64_t)>
class Each : public OpKernel {
 public:
  using OpKernel::OpKernel;

  void Compute(OpKernelContext* context) override {
    const Tensor& x = context->input(0);
    Tensor* output;
    OP_REQUIRES_OK(context, context->allocate_output(0, x.shape(), &output));
    MapEach<f>(x.flat<int64_t>().data(), output->flat<int64_t>().data(), x.NumElements());
  }
};

inline uint64_t Reverse(uint64_t v) {
  const auto swap = [&v](int by, uint64_t mask) { v = ((v >> by) & mask) | ((v & mask) << by); };
  swap(1, 0x5555555555555555);
  swap(2, 0x3333333333333333);
  swap(4, 0x0f0f0f0f0f0f0f0f);
  return __builtin_bswap64(v);
}

inline uint64_t XorOfPositions(uint64_t v) {
  uint64_t positions = 0;
  for (int half = 32; half; half /= 2) {  // of 2 * half positions, those of the upper half have this bit
    const uint64_t upper = v >> half;
    positions |= __builtin_parityll(upper) * half;
    v = (v ^ upper) & ((uint64_t{1} << half) - 1);
  }
  return positions;
}

REGISTER_OP("BitGather")
    .Input("op: dtype").Output("output: dtype").Attr("start: int").Attr("stride: int").Attr("dtype: {int8, int16, int32, int64}")
    .SetShapeFn(shape_inference::UnchangedShape);
REGISTER_OP("BitSplitAndGather")
    .Input("op: dtype").Output("output: dtype").Attr("stride: int").Attr("dtype: {int8, int16, int32, int64}")
    .SetShapeFn([](InferenceContext* context) {
      int stride;
      TF_RETURN_IF_ERROR(context->GetAttr("stride", &stride));
      ShapeHandle out;
      TF_RETURN_IF_ERROR(context->Concatenate(context->Vector(stride), context->input(0), &out));
      context->set_output(0, out);
      return absl::OkStatus();
    });
REGISTER_OP("BitReverse").Input("op0: int64").Output("output: int64").SetShapeFn(shape_inference::UnchangedShape);
REGISTER_OP("XorIndices").Input("op0: int64").Output("output: int64").SetShapeFn(shape_inference::UnchangedShape);
REGISTER_KERNEL_BUILDER(Name("BitReverse").Device(DEVICE_CPU), Each<Reverse>);
REGISTER_KERNEL_BUILDER(Name("XorIndices").Device(DEVICE_CPU), Each<XorOfPositions>);

#define OPS_OF(type)                                                                                                                    \
  REGISTER_KERNEL_BUILDER(Name("SecureSeededRandomUniform").Device(DEVICE_CPU).TypeConstraint<type>("dtype"), RandomUniform<type, true>); \
  REGISTER_KERNEL_BUILDER(Name("SecureRandomUniform").Device(DEVICE_CPU).TypeConstraint<type>("dtype"), RandomUniform<type, false>);      \
  REGISTER_KERNEL_BUILDER(Name("BitGather").Device(DEVICE_CPU).TypeConstraint<type>("dtype"), BitGather<type>);                           \
  REGISTER_KERNEL_BUILDER(Name("BitSplitAndGather").Device(DEVICE_CPU).TypeConstraint<type>("dtype"), BitSplitAndGather<type>)
OPS_OF(int8);
OPS_OF(int16);
OPS_OF(int32);
OPS_OF(int64_t);
