// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace orch::base {

// Where a shell gets its dice from: request ids, jitter, splay. An argument beside the clock, so
// that a test can repeat what happened.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(char* out, size_t size) = 0;

  std::string Bytes(size_t size);
  uint64_t Next64();
  // Even over [least, most).
  double Uniform(double least, double most);
  // Even over [0, below); `below` is not 0. For small ranges: the bias is below/2^64.
  uint64_t Below(uint64_t below) { return Next64() % below; }
};

// The kernel's: fit for ids that nobody may guess. Aborts if the kernel gives none. Thread-safe;
// lives forever.
Random* SystemRandom();

// The same sequence for the same seed, on every machine. For tests and simulations only: whoever
// sees some of it knows the rest. Not thread-safe.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  void Fill(char* out, size_t size) override;

 private:
  uint64_t state_;
};

}  // namespace orch::base
