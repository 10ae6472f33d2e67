// Large results in large pages: the kernel zeroes fresh memory page by page, and 4 KiB at a time that costs more than
// writing the result.
#pragma once

#include <cstdint>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace geospec {

// Asks for large pages under fresh memory of at least some of them. A hint: whether it is heard changes no value.
inline void prefer_large_pages(void* begin, int64_t bytes) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  constexpr uintptr_t page = uintptr_t(1) << 21;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(begin) + uintptr_t(bytes)) / page * page;
  if (first + page <= last) madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
#else
  (void)begin, (void)bytes;
#endif
}

}  // namespace geospec
