// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace orch::controller {

// Calls that ended, by method and canonical code. The methods are those of the API: nothing that a
// caller invents becomes a label. Thread-safe.
class CallCounts {
 public:
  static constexpr size_t kCodes = 17;
  using ByCode = std::array<std::atomic<uint64_t>, kCodes>;

  // Of the services of orch.v1.
  CallCounts();
  // By the name of the method's response, `GetJobResponse`: each method has one of its own.
  void Count(const std::string& response, absl::StatusCode code);
  // Over all methods.
  uint64_t total(absl::StatusCode code) const;

  // Constant in its keys after construction, `JobService/GetJob`.
  const std::map<std::string, ByCode>& by_method() const { return by_method_; }

 private:
  std::map<std::string, ByCode> by_method_;
  std::map<std::string, ByCode*> by_response_;
};

}  // namespace orch::controller
