// One arithmetic, two compilers: functions marked so compile for the host and, under nvcc, for the device.
#pragma once

#ifdef __CUDACC__
#define GEOSPEC_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define GEOSPEC_HOST_DEVICE inline
#endif
