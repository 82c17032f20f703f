// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "orch/v1/job.pb.h"

// What of a node can stand in a column of a report. Pure.

namespace orch::cli {

// `identity`, `version`, `classes`, `actions`, `collectives`, `facts`, `facts_time` or `puppet`;
// below them `facts.<path>` (found as targets find it), `classes.<name>`, `actions.<name>` and
// `collectives.<name>` (whether the node has it), `puppet.<field>` of orch.v1.PuppetStatusResult.
struct Column {
  std::string header;  // as it was written, or what stood before `=`
  std::string word;    // the first part: `facts`
  std::string rest;    // the others: `os.family`

  // Whether `node.facts` can answer it.
  bool is_fact() const { return word == "facts" && !rest.empty(); }
};

// One column. InvalidArgument says what is possible.
absl::StatusOr<Column> ParseColumn(absl::string_view text);
// `A,B,C`; each may be `HEADER=column`; what contains a comma stands in double quotes (a quote in
// it doubled). InvalidArgument names the position, counted in characters from 1, with `before` of
// them in front of the text.
absl::StatusOr<std::vector<Column>> ParseColumns(absl::string_view text, size_t before = 0);

// What a node answered to node.ping, node.facts or node.inventory.
class Subject {
 public:
  explicit Subject(const orch::v1::JobNode& node);
  // Null where the node has no such thing.
  nlohmann::json Value(const Column& column) const;

 private:
  std::string identity_;
  std::string version_;
  std::string facts_time_;
  nlohmann::json facts_ = nlohmann::json::object();
  nlohmann::json puppet_;
  nlohmann::json classes_, actions_, collectives_;
};

// A value as text: a list of plain things with `, ` between them, anything else that is not plain
// as JSON; empty where there is none. Not yet Safe.
std::string ValueText(const nlohmann::json& value);

}  // namespace orch::cli
