// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <yaml-cpp/eventhandler.h>

#include <istream>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace orch::nodeagent {

// Receives the values of a YAML document one after the other, each with where it stands. Paths hold
// a mapping's key or, within a sequence, an empty text: `logs`, ``, `level`.
class YamlVisitor {
 public:
  using Path = std::vector<std::string>;
  virtual ~YamlVisitor() = default;
  virtual void OnValue(const Path& path, const std::string& value) = 0;
  // A mapping or sequence at `path` begins, ends.
  virtual void OnEnter(const Path& path) = 0;
  virtual void OnLeave(const Path& path) = 0;
};

// Walks through the first document of `in` without keeping it. Tags are ignored, null and aliases
// are empty values. DataLoss: not YAML.
absl::Status VisitYaml(std::istream& in, YamlVisitor* visitor);

}  // namespace orch::nodeagent
