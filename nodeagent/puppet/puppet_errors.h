// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "absl/strings/string_view.h"
#include "api/puppet_error.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// The most errors of a run that are kept, and the bytes of any text of its report.
inline constexpr size_t kErrorsMax = 20;
inline constexpr size_t kReportTextMax = 1024;

// `text` cleaned, and cut visibly at kReportTextMax. Pure.
std::string CutReportText(absl::string_view text);

// The errors of a run in their order: the first, which is most often the cause of the others, and
// the last ones, kErrorsMax together. Pure.
class PuppetErrors {
 public:
  // Its texts may be anything; they are cleaned and cut.
  void Add(orch::v1::PuppetRunError error);
  const std::deque<orch::v1::PuppetRunError>& list() const { return errors_; }
  bool empty() const { return errors_.empty(); }
  void clear() { errors_.clear(); }

 private:
  std::deque<orch::v1::PuppetRunError> errors_;
};

// An error of a log line; `source` is a resource's path, or `Puppet`.
orch::v1::PuppetRunError MakePuppetError(absl::string_view source, absl::string_view message,
                                         absl::string_view file, uint32_t line);
using api::ErrorLine;

}  // namespace orch::nodeagent
