// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "controller/config.pb.h"
#include "policy/policy.h"

namespace orch::controller {

// The policy files of a configuration, and whether they have changed. Blocking file access; not
// thread-safe.
class PolicySource {
 public:
  explicit PolicySource(PolicyConfig config) : config_(std::move(config)) {}

  // Reads all files. An error names file and line, and leaves whatever is in force in force.
  absl::StatusOr<std::shared_ptr<const policy::Policy>> Load();
  // Whether a file was changed, added or removed since the last Load, by inode, size and time.
  bool Changed() const;
  // For the audit: the names of the files, and a digest of what Load has read.
  std::string Origin() const;

 private:
  std::string Fingerprint() const;

  const PolicyConfig config_;
  std::string loaded_fingerprint_;
};

}  // namespace orch::controller
