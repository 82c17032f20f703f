// SPDX-License-Identifier: Apache-2.0
#include "cli/grid.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "cli/render.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

bool Less(const Cell& a, const Cell& b) {
  if (a.key.has_value() && b.key.has_value()) return *a.key < *b.key;
  return NaturalLess(a.text, b.text);
}

}  // namespace

std::string SortKey(const std::string& header) {
  return absl::StrReplaceAll(absl::AsciiStrToLower(header), {{" ", "-"}});
}

absl::StatusOr<std::vector<std::pair<std::string, bool>>> ParseSortBy(
    const std::string& sort_by, const std::vector<std::string>& known) {
  std::vector<std::pair<std::string, bool>> keys;
  if (sort_by.empty()) return keys;
  for (absl::string_view word : absl::StrSplit(sort_by, ',')) {
    const bool down = absl::ConsumePrefix(&word, "-");
    const std::string key = SortKey(std::string(word));
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return absl::InvalidArgumentError(absl::StrCat("--sort-by ", sort_by, ": `", word,
                                                     "` is none of ", absl::StrJoin(known, ", ")));
    }
    keys.emplace_back(key, down);
  }
  return keys;
}

void Grid::Add(std::vector<Cell> row) {
  row.resize(headers_.size(), Cell(""));
  order_.push_back(rows_.size());
  rows_.push_back(std::move(row));
}

absl::Status Grid::SortBy(const std::string& sort_by) {
  std::vector<std::string> known;
  for (const std::string& header : headers_) known.push_back(SortKey(header));
  ORCH_ASSIGN_OR_RETURN(const auto keys, ParseSortBy(sort_by, known));
  std::vector<std::pair<size_t, bool>> columns;
  for (const auto& [key, down] : keys) {
    columns.emplace_back(std::find(known.begin(), known.end(), key) - known.begin(), down);
  }
  std::stable_sort(order_.begin(), order_.end(), [&](size_t a, size_t b) {
    for (const auto& [column, down] : columns) {
      const Cell& left = rows_[down ? b : a][column];
      const Cell& right = rows_[down ? a : b][column];
      if (Less(left, right)) return true;
      if (Less(right, left)) return false;
    }
    return false;
  });
  return absl::OkStatus();
}

std::vector<std::string> Grid::Row(size_t i) const {
  std::vector<std::string> texts;
  for (const Cell& cell : rows_[order_[i]]) texts.push_back(cell.text);
  return texts;
}

std::string Grid::Print(bool headers, size_t columns) const {
  std::vector<std::vector<std::string>> rows = {headers_};
  for (size_t i = 0; i < rows_.size(); ++i) rows.push_back(Row(i));
  for (auto& row : rows) row.resize(std::min(columns, row.size()));
  return Table(rows, headers);
}

}  // namespace orch::cli
