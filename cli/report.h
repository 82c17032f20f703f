// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/columns.h"
#include "cli/grid.h"
#include "cli/options.h"

namespace orch::cli {

// A report with one row for each node, of anything that nodes know of themselves, as a table, as
// CSV, or in a text of the operator's own; docs/orchctl.md describes the language. It keeps the
// values that it shows, and not the answers they came from. Pure.
class Report {
 public:
  // `format` is `table`, `csv`, either with `:A,B,C`, or a template; `columns` are the columns if
  // the format names none. InvalidArgument names the flag and the position.
  static absl::StatusOr<Report> Parse(const std::string& format, const std::string& columns);

  // The cheapest action that answers all columns: node.ping, node.facts with exactly the facts that
  // are shown, or node.inventory.
  orch::v1::Action Question() const;
  // InvalidArgument: --sort-by names no column of the report.
  absl::Status CheckSortBy(const std::string& sort_by) const;
  // Takes a node's answer; nodes that gave none are left out.
  void Add(const orch::v1::JobNode& node);
  // The rows by name, or as `sort_by` says.
  std::string Print(const Terminal& terminal, const std::string& sort_by, bool wide, bool headers);

 private:
  enum class Form { kTable, kCsv, kTemplate };
  // `join ", "`, `default "-"`, `json`, `count`.
  struct Filter {
    std::string name, argument;
  };
  // Text, or a column with what is made of it.
  struct Piece {
    std::string text;
    std::optional<size_t> column;
    std::vector<Filter> filters;
  };
  using Row = std::vector<nlohmann::json>;  // a value a column

  absl::Status ParseTemplate(absl::string_view text);
  absl::Status ParsePiece(absl::string_view text, Piece* piece);
  Grid Sorted(const std::string& sort_by) const;
  std::string Filled(const Row& row) const;

  Form form_ = Form::kTable;
  std::vector<Column> columns_;  // the first is the identity that rows are sorted by
  bool identity_shown_ = true;   // whether it was asked for as the first, too
  std::vector<Piece> pieces_;
  std::vector<Row> rows_;
};

// A field of CSV (RFC 4180's quotes). Text that a spreadsheet would take for a formula gets an
// apostrophe in front; numbers are left alone.
std::string CsvField(const nlohmann::json& value);

}  // namespace orch::cli
