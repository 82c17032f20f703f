// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <sys/random.h>

#include <algorithm>
#include <cstring>

#include "base/status.h"

namespace orch::base {
namespace {

class KernelRandom : public Random {
 public:
  void Fill(char* out, size_t size) override {
    // Up to 256 bytes come whole and uninterrupted (getrandom(2)).
    for (size_t at = 0; at < size; at += 256) {
      const size_t piece = std::min<size_t>(256, size - at);
      ORCH_CHECK(getrandom(out + at, piece, 0) == static_cast<ssize_t>(piece));
    }
  }
};

}  // namespace

std::string Random::Bytes(size_t size) {
  std::string out(size, '\0');
  Fill(out.data(), size);
  return out;
}

uint64_t Random::Next64() {
  uint64_t out = 0;
  Fill(reinterpret_cast<char*>(&out), sizeof out);
  return out;
}

double Random::Uniform(double least, double most) {
  // 53 bits: as many as a double holds.
  return least + (most - least) * static_cast<double>(Next64() >> 11) * 0x1p-53;
}

Random* SystemRandom() {
  static KernelRandom* const random = new KernelRandom;
  return random;
}

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
void SeededRandom::Fill(char* out, size_t size) {
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    std::memcpy(out + at, &z, std::min(sizeof z, size - at));
  }
}

}  // namespace orch::base
