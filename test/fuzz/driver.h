// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// A small fuzzer. It mutates a corpus deterministically for as long as it is told to and keeps the
// inputs that behave in a new way. gcc offers no guidance by coverage, so the target itself says
// which behaviour an input has. A finding is a failed check of the target or of a sanitizer, or an
// input that breaks a limit of this file.
//
//   bazel build //test/fuzz:frames && bazel-bin/test/fuzz/frames --seconds 600
//   bazel-bin/test/fuzz/frames --input fuzz-finding     runs one input again

namespace orch::testing {

struct FuzzTarget {
  // Runs one input; a finding is an ORCH_CHECK that fails, a signal, or kSlow. What it returns
  // tells behaviours apart: an input with a value not seen before is mutated further.
  std::function<uint64_t(absl::string_view input)> run;
  std::vector<std::string> corpus;  // what is good or nearly good; not empty
  std::vector<std::string> words;   // that mutations insert
  size_t input_max = 64 << 10;
};

// An input that takes longer is a finding.
inline constexpr int kFuzzSlowSeconds = 2;
inline constexpr size_t kFuzzCorpusMax = 20'000;

// Flags: `--seconds N` (default 5), `--seed N` (default 1), `--input FILE`. Prints what it did; a
// finding is written to `fuzz-finding` (in TEST_UNDECLARED_OUTPUTS_DIR, if set) and ends the
// process by SIGABRT. 0: nothing was found.
int FuzzMain(int argc, char** argv, const FuzzTarget& target);

}  // namespace orch::testing
