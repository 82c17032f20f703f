// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/v1/job.pb.h"

// The columns of a report (`orchctl inventory --format`, `--columns`), and their values for a node.
// Pure.

namespace orch::cli {

// What a column shows: `identity`, `version`, `classes`, `actions`, `collectives`, `facts`,
// `facts_time` or `puppet`; or a part of one of them: `facts.<path>` (found as targets find it),
// `classes.<name>`, `actions.<name>` and `collectives.<name>` (whether the node has it),
// `puppet.<field>` of orch.v1.PuppetStatusResult.
struct Column {
  std::string header;  // as it was written, or what stood before `=`
  std::string word;    // the first part: `facts`
  std::string rest;    // the others: `os.family`

  // Whether `node.facts` can answer it.
  bool is_fact() const { return word == "facts" && !rest.empty(); }
};

// Parses one column. InvalidArgument says which columns there are.
absl::StatusOr<Column> ParseColumn(absl::string_view text);
// Parses `A,B,C`. Each part may be `HEADER=column`; one that contains a comma stands in double
// quotes, in which a quote is doubled. InvalidArgument names the position in characters from 1,
// counting `before` characters that stood in front of `text`.
absl::StatusOr<std::vector<Column>> ParseColumns(absl::string_view text, size_t before = 0);

// What a node answered to node.ping, node.facts or node.inventory.
class Subject {
 public:
  explicit Subject(const orch::v1::JobNode& node);
  // The node's value in a column; null where the node has no such thing.
  nlohmann::json Value(const Column& column) const;

 private:
  std::string identity_;
  std::string version_;
  std::string facts_time_;
  nlohmann::json facts_ = nlohmann::json::object();
  nlohmann::json puppet_;
  nlohmann::json classes_, actions_, collectives_;
};

// A value as text: a list of plain values with `, ` between them, any other structure as JSON, null
// as the empty text. The text is not made Safe yet (cli/text.h).
std::string ValueText(const nlohmann::json& value);

}  // namespace orch::cli
