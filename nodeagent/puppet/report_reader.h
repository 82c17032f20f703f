// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <yaml-cpp/eventhandler.h>

#include <istream>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace orch::nodeagent {

// Receives the values of a YAML document in their order, each with its path from the root. A path
// has an element for each level: the key in a mapping, an empty text in a sequence. The level of a
// line of the log has the path `logs`, ``, `level`.
class YamlVisitor {
 public:
  using Path = std::vector<std::string>;
  virtual ~YamlVisitor() = default;
  virtual void OnValue(const Path& path, const std::string& value) = 0;
  // A mapping or sequence at `path` begins, ends.
  virtual void OnEnter(const Path& path) = 0;
  virtual void OnLeave(const Path& path) = 0;
};

// Reads the first document of `in` and calls `visitor` for each value, without keeping the
// document. Tags are ignored; null and aliases are given as empty values. Blocks. DataLoss: not
// YAML.
absl::Status VisitYaml(std::istream& in, YamlVisitor* visitor);

}  // namespace orch::nodeagent
