// What a build of PyTorch without CUDA lacks to know a CUDA device: its guard, its hooks and its generators.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

using c10::Device, c10::DeviceIndex, c10::DeviceType, c10::GeneratorImpl, c10::Stream, c10::intrusive_ptr;

const Device GPU(DeviceType::CUDA, 0);

struct Guard : c10::impl::NoOpDeviceGuardImpl<DeviceType::CUDA> {
  Device exchangeDevice(Device) const override { return GPU; }
  Device getDevice() const override { return GPU; }
  Stream getStream(Device) const noexcept override { return Stream(Stream::DEFAULT, GPU); }
  Stream exchangeStream(Stream) const noexcept override { return getStream(GPU); }
  void record(void**, const Stream&, DeviceIndex, c10::EventFlag) const override {}
  void block(void*, const Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
};
C10_REGISTER_GUARD_IMPL(CUDA, Guard)

// Its state is a CPU generator, which two may share, as a CUDA graph needs it.
struct Draws : GeneratorImpl {
  intrusive_ptr<at::CPUGeneratorImpl> state;
  explicit Draws(intrusive_ptr<at::CPUGeneratorImpl> s)
      : GeneratorImpl(GPU, c10::DispatchKeySet(c10::DispatchKey::CPU)), state(std::move(s)) {}
  void set_current_seed(uint64_t seed) override { state->set_current_seed(seed); }
  void set_offset(uint64_t offset) override { state->set_offset(offset); }
  uint64_t get_offset() const override { return state->get_offset(); }
  uint64_t current_seed() const override { return state->current_seed(); }
  uint64_t seed() override { return state->seed(); }
  void set_state(const c10::TensorImpl& bytes) override { state->set_state(bytes); }
  intrusive_ptr<c10::TensorImpl> get_state() const override { return state->get_state(); }
  void graphsafe_set_state(const intrusive_ptr<GeneratorImpl>& other) override { state = static_cast<Draws*>(other.get())->state; }
  intrusive_ptr<GeneratorImpl> graphsafe_get_state() const override { return c10::make_intrusive<Draws>(state); }
  Draws* clone_impl() const override {
    auto copy = c10::make_intrusive<at::CPUGeneratorImpl>();
    copy->set_state(*state->get_state());
    return new Draws(copy);
  }
};
extern "C" bool share_state(void* one, void* other) {
  auto state = [](void* generator) { return static_cast<Draws*>(static_cast<GeneratorImpl*>(generator))->state; };
  return state(one) == state(other);
}

static bool on = false;  // while a test runs that is marked cuda
extern "C" void pretend(bool value) { on = value; }

namespace at {
struct CUDAHooks : CUDAHooksInterface {
  explicit CUDAHooks(CUDAHooksArgs) {}
  void init() const override {}
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return on; }
  bool hasCUDA() const override { return on; }
  bool hasPrimaryContext(DeviceIndex) const override { return on; }
  DeviceIndex deviceCount() const override { return on; }
  DeviceIndex getCurrentDevice() const override { return 0; }
  Generator getNewGenerator(DeviceIndex) const override { return make_generator<Draws>(c10::make_intrusive<CPUGeneratorImpl>()); }
};
REGISTER_CUDA_HOOKS(CUDAHooks)
}
