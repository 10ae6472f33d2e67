// Normal numbers by counting: the seed, the number of the draw and the number of the element decide each of them, so
// any part of any draw can be made again, in any order, by any thread, on any device.
//
// Philox 4x32-10 (Salmon et al. 2011) gives four words for a counter, Box and Muller (1958) two normals for those.
// Elements 16 b + l and 16 b + 8 + l, l < 8, are the two of pair 8 b + l: what is made side by side is stored side by
// side. No branch and no call, so that loops over pairs vectorise, and logarithm and turns are the same sums on every
// device.
#pragma once

#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#define GEOSPEC_NOISE __host__ __device__ __forceinline__
#else
#define GEOSPEC_NOISE __attribute__((always_inline)) inline
#endif

namespace geospec::noise {

constexpr int kPairs = 8;           // that are made side by side
constexpr int kBlock = 2 * kPairs;  // elements of a block

enum class Form { normal, half, reflected };

GEOSPEC_NOISE uint64_t bits_of(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}

GEOSPEC_NOISE double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// An integer below 2^52, which becomes the mantissa of a number between 2^52 and 2^53.
GEOSPEC_NOISE double small_integer(uint64_t i) { return from_bits(0x4330000000000000u | i) - 4503599627370496.0; }

// Ten rounds on the counter (x0, x1, x2, x3); words stand in the lower halves.
GEOSPEC_NOISE void philox(uint64_t& x0, uint64_t& x1, uint64_t& x2, uint64_t& x3, uint64_t seed) {
  const uint64_t low = 0xffffffffu;
  uint64_t key0 = seed & low, key1 = seed >> 32;
#ifdef __CUDACC__
#pragma unroll
#else
#pragma GCC unroll 10
#endif
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53u * x0, p2 = 0xCD9E8D57u * x2;
    x0 = (p2 >> 32) ^ x1 ^ key0;
    x1 = p2 & low;
    x2 = (p0 >> 32) ^ x3 ^ key1;
    x3 = p0 & low;
    key0 = (key0 + 0x9E3779B9u) & low;
    key1 = (key1 + 0xBB67AE85u) & low;
  }
}

// A number strictly between 0 and 1 from the upper 52 of 64 bits.
GEOSPEC_NOISE double uniform(uint64_t high, uint64_t low) {
  return (small_integer(high << 20 | low >> 12) + 0.5) * 2.220446049250313e-16;
}

// log(u) for normal u in (0, 1): exponent, and 2 artanh((m - 1) / (m + 1)) of the mantissa m in [1/sqrt 2, sqrt 2).
GEOSPEC_NOISE double logarithm(double u) {
  const uint64_t bits = bits_of(u), least = 0x3fe6a09e667f3bcdu;  // 1 / sqrt 2
  const uint64_t exponent = (bits - least + (uint64_t(1024) << 52)) >> 52;
  const double m = from_bits(bits - (exponent << 52) + (uint64_t(1024) << 52));
  const double s = (m - 1) / (m + 1), z = s * s;
  double sum = 1.0 / 19;
  sum = sum * z + 1.0 / 17;
  sum = sum * z + 1.0 / 15;
  sum = sum * z + 1.0 / 13;
  sum = sum * z + 1.0 / 11;
  sum = sum * z + 1.0 / 9;
  sum = sum * z + 1.0 / 7;
  sum = sum * z + 1.0 / 5;
  sum = sum * z + 1.0 / 3;
  return (small_integer(exponent) - 1024) * 0.6931471805599453 + 2 * s * (1 + z * sum);
}

// cos and sin of v turns, v in (0, 1): the nearest quarter, and Taylor's sums over at most an eighth of a turn.
GEOSPEC_NOISE void turn(double v, double& cosine, double& sine) {
  const double to_integer = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer, seen in the lowest bits
  const double shifted = 4 * v + to_integer;
  const uint64_t quarter = bits_of(shifted);
  const double a = (4 * v - (shifted - to_integer)) * 1.5707963267948966, z = a * a;
  double s = -1.0 / 1307674368000;
  s = s * z + 1.0 / 6227020800;
  s = s * z - 1.0 / 39916800;
  s = s * z + 1.0 / 362880;
  s = s * z - 1.0 / 5040;
  s = s * z + 1.0 / 120;
  s = s * z - 1.0 / 6;
  s = a + a * z * s;
  double c = 1.0 / 20922789888000;
  c = c * z - 1.0 / 87178291200;
  c = c * z + 1.0 / 479001600;
  c = c * z - 1.0 / 3628800;
  c = c * z + 1.0 / 40320;
  c = c * z - 1.0 / 720;
  c = c * z + 1.0 / 24;
  c = c * z - 0.5;
  c = 1 + c * z;
  const uint64_t odd = 0 - (quarter & 1), x = bits_of(c), y = bits_of(s);
  cosine = from_bits((x ^ ((x ^ y) & odd)) ^ ((quarter + 1) & 2) << 62);
  sine = from_bits((y ^ ((x ^ y) & odd)) ^ (quarter & 2) << 62);
}

// The two normals of a pair are sqrt(square) cosine and sqrt(square) sine.
GEOSPEC_NOISE void polar(uint64_t seed, uint64_t draw, uint64_t pair, double& square, double& cosine, double& sine) {
  uint64_t x0 = pair & 0xffffffffu, x1 = pair >> 32, x2 = draw & 0xffffffffu, x3 = draw >> 32;
  philox(x0, x1, x2, x3, seed);
  square = -2 * logarithm(uniform(x0, x1));
  turn(uniform(x2, x3), cosine, sine);
}

GEOSPEC_NOISE double magnitude(double x) { return from_bits(bits_of(x) & 0x7fffffffffffffffu); }

// A magnitude with noise z of level sigma.
template <Form form>
GEOSPEC_NOISE double noisy(double clean, double sigma, double z) {
  if (form == Form::half) return clean + sigma * magnitude(z);
  return form == Form::normal ? clean + sigma * z : magnitude(clean + sigma * z);
}

// What an element adds to the sums over draws; x is rounded as it was when it was drawn.
struct Sums {
  double residual, level, ratio;
};
template <class T>
GEOSPEC_NOISE void add(Sums& sums, double x, T denoised) {
  const double gap = double(T(x)) - double(denoised);
  sums.residual += gap;
  sums.level += double(T(x));
  sums.ratio += gap / double(T(x));
}

}  // namespace geospec::noise
