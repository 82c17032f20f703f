// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// Facts and classes as they are written. What comes back is a JSON object of valid UTF-8, or
// InvalidArgument with the line or the byte. A byte order mark is no part of the text; bytes that
// are not UTF-8 become U+FFFD. Pure.

namespace orch::target {

// The most values of one text, where a YAML alias counts as all that it stands for.
inline constexpr size_t kFactValuesMax = 200'000;
// The most bytes of a YAML text, counted in the same way, with a few bytes for each value.
inline constexpr size_t kYamlBytesMax = 8 << 20;
// How deep mappings and lists may be nested: each level costs three of protobuf's hundred on its
// way to the API.
inline constexpr int kFactsDepthMax = 24;
// The most classes that are kept.
inline constexpr size_t kClassesMax = 20'000;

absl::StatusOr<nlohmann::json> ParseJsonFacts(absl::string_view text);
// One document. Plain scalars are typed by the core schema of YAML 1.2 (10.3.2): `yes`, `12:30` and
// dates are text, `010` is ten, `0o10` is eight, `1e3` is a number; an integer that 64 bits don't
// hold stays text; `.nan` and `.inf`, which JSON lacks, are errors.
absl::StatusOr<nlohmann::json> ParseYamlFacts(const std::string& text);
// Lines `name=value`, every value a text; empty lines and those that begin with `#` are skipped.
absl::StatusOr<nlohmann::json> ParseTextFacts(absl::string_view text);
// What a program printed: JSON, YAML or lines `name=value`, told apart by the first line with
// anything in it. As Facter does, other lines among `name=value` are passed over; but where one of
// them begins as JSON does, it is an error, and no line is a fact.
absl::StatusOr<nlohmann::json> ParsePrintedFacts(absl::string_view output);

// One class a line, sorted, without doubles; empty lines and those that begin with `#` are skipped.
// An entry of a Chef run list, `recipe[nginx]` or `role[web]`, counts as written and, besides, as
// MCollective's `recipe.nginx` and `role.web`.
absl::StatusOr<std::vector<std::string>> ParseClasses(absl::string_view text);

}  // namespace orch::target
