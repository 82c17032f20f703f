// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::policy {

// A YAML document as plain values that know their line, so that a policy can name the rule that it
// means. Aliases, tags, duplicate keys, keys that are not words, a second document and too deep a
// nesting are refused.
struct Yaml {
  enum class Kind { kNull, kText, kList, kMap };
  Kind kind = Kind::kNull;
  int line = 1;
  std::string text;
  std::vector<Yaml> list;
  std::vector<std::pair<std::string, Yaml>> map;  // in the file's order

  // The value of a key; null: there is no such key.
  const Yaml* Find(absl::string_view key) const;
};

// Parses a document; an empty text gives kNull. InvalidArgument: `name:line: why`.
absl::StatusOr<Yaml> ReadYaml(absl::string_view text, absl::string_view name);

}  // namespace orch::policy
