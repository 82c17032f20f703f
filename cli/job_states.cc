// SPDX-License-Identifier: Apache-2.0
#include "cli/job_states.h"

#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace orch::cli {
namespace {

std::string Upper(const std::string& word) {
  return absl::AsciiStrToUpper(absl::StrReplaceAll(word, {{"-", "_"}}));
}

// The value of an enum whose names begin with `prefix`; nullopt: there is none, `*known` are those
// that there are.
std::optional<int> Parse(const google::protobuf::EnumDescriptor& values, const std::string& prefix,
                         const std::string& word, std::vector<std::string>* known) {
  for (int i = 0; i < values.value_count(); ++i) {
    const google::protobuf::EnumValueDescriptor& value = *values.value(i);
    if (value.number() == 0) continue;
    const absl::string_view name = absl::StripPrefix(value.name(), prefix);
    if (name == Upper(word)) return value.number();
    if (known != nullptr) {
      known->push_back(absl::StrReplaceAll(absl::AsciiStrToLower(name), {{"_", "-"}}));
    }
  }
  return std::nullopt;
}

template <typename State>
absl::StatusOr<State> ParseOr(const google::protobuf::EnumDescriptor& values,
                              const std::string& prefix, const std::string& flag,
                              const std::string& word) {
  std::vector<std::string> known;
  const std::optional<int> value = Parse(values, prefix, word, &known);
  if (value.has_value()) return static_cast<State>(*value);
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", word, ": expected one of ", absl::StrJoin(known, ", ")));
}

}  // namespace

absl::StatusOr<orch::v1::JobState> ParseJobState(const std::string& flag, const std::string& word) {
  return ParseOr<orch::v1::JobState>(*orch::v1::JobState_descriptor(), "JOB_STATE_", flag, word);
}

absl::StatusOr<orch::v1::NodeState> ParseNodeState(const std::string& flag,
                                                   const std::string& word) {
  return ParseOr<orch::v1::NodeState>(*orch::v1::NodeState_descriptor(), "NODE_STATE_", flag, word);
}

absl::Status AddLabel(const std::string& text,
                      google::protobuf::Map<std::string, std::string>* labels) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(absl::StrCat("--label ", text, ": expected KEY=VALUE"));
  }
  (*labels)[text.substr(0, equals)] = text.substr(equals + 1);
  return absl::OkStatus();
}

std::optional<orch::v1::PuppetRunVerdict> ParseVerdict(const std::string& word) {
  const std::optional<int> value =
      Parse(*orch::v1::PuppetRunVerdict_descriptor(), "PUPPET_RUN_VERDICT_", word, nullptr);
  if (!value.has_value()) return std::nullopt;
  return static_cast<orch::v1::PuppetRunVerdict>(*value);
}

}  // namespace orch::cli
