// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::policy {

// A YAML document as plain values that know their line: what a policy needs in order to name the
// rule it means. Refused are aliases, tags, duplicate keys, keys that are no words, a second
// document, and what is nested too deeply.
struct Yaml {
  enum class Kind { kNull, kText, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 1;
  std::string text;
  std::vector<Yaml> list;
  std::vector<std::pair<std::string, Yaml>> map;  // in the file's order

  // Null if there is no such key.
  const Yaml* Find(absl::string_view key) const;
};

// InvalidArgument `name:line: why`. An empty text is kNull.
absl::StatusOr<Yaml> ReadYaml(absl::string_view text, absl::string_view name);

}  // namespace orch::policy
