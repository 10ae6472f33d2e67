// One arithmetic, two compilers: functions marked so compile for the host and, under nvcc, for the device.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define GEOSPEC_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define GEOSPEC_HOST_DEVICE inline
#endif

// Asks for a cache line ahead of its use. Meshes are stored in any order, so the loops over them wait for memory
// more than they compute, and the indices that they will need are known well before.
template <class T>
inline void prefetch(const T* address) {
#if defined(__GNUC__) && !defined(__CUDA_ARCH__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

// Asks for all lines of rows to come, which are taken in an order that the machine does not foresee.
template <bool written, class T>
inline void prefetch_rows(const T* begin, const T* end) {
#if defined(__GNUC__) && !defined(__CUDA_ARCH__)
  constexpr int64_t line = 64 / sizeof(T);
  for (const T* place = begin; place < end; place += line) __builtin_prefetch(place, written, 2);
#else
  (void)begin, (void)end;
#endif
}
