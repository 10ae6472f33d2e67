// Blocks of doubles that start a cache line: a wide register loaded across two lines costs twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace geospec {

class Aligned {
 public:
  explicit Aligned(int64_t length)
      : memory_(static_cast<double*>(::operator new(size_t(length) * sizeof(double), std::align_val_t(64)))) {}
  double* get() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(double* p) const { ::operator delete(p, std::align_val_t(64)); }
  };
  std::unique_ptr<double, Free> memory_;
};

}  // namespace geospec
