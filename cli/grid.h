// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace orch::cli {

// A cell of a table. Rows are sorted by its `key` if it has one, for texts such as `4.2 s ago`, and
// otherwise by its text as people count (NaturalLess).
struct Cell {
  Cell(std::string text_in) : text(std::move(text_in)) {}  // NOLINT: text is what most cells are
  Cell(const char* text_in) : text(text_in) {}             // NOLINT
  Cell(std::string text_in, double key_in) : text(std::move(text_in)), key(key_in) {}

  std::string text;
  std::optional<double> key;
};

// The key of --sort-by for a header: `last-seen` for `LAST SEEN`.
std::string SortKey(const std::string& header);
// Parses `--sort-by a,-b` into its keys, each with whether the order is turned. InvalidArgument
// names the key that is not in `known`, and those that are.
absl::StatusOr<std::vector<std::pair<std::string, bool>>> ParseSortBy(
    const std::string& sort_by, const std::vector<std::string>& known);

// Rows for people, which --sort-by can order. Pure.
class Grid {
 public:
  explicit Grid(std::vector<std::string> headers) : headers_(std::move(headers)) {}

  // Adds a row, which must have as many cells as there are headers.
  void Add(std::vector<Cell> row);
  // Sorts the rows by `column`, or `-column` for the other order; several are separated by commas.
  // Rows that are equal keep the order in which they were added; with an empty `sort_by` all do.
  // InvalidArgument: there is no such column.
  absl::Status SortBy(const std::string& sort_by);
  // For each place the number of the row that stands there, as rows were added.
  const std::vector<size_t>& order() const { return order_; }
  const std::vector<std::string>& headers() const { return headers_; }
  // The texts of the row at place `i`.
  std::vector<std::string> Row(size_t i) const;

  // The first `columns` columns, padded to their widest cell.
  std::string Print(bool headers, size_t columns) const;

  // Brings the messages that the rows were made of into the order of the rows.
  template <typename Message>
  void Arrange(google::protobuf::RepeatedPtrField<Message>* messages) const {
    google::protobuf::RepeatedPtrField<Message> arranged;
    for (const size_t i : order_) *arranged.Add() = std::move(*messages->Mutable(i));
    messages->Swap(&arranged);
  }

 private:
  const std::vector<std::string> headers_;
  std::vector<std::vector<Cell>> rows_;
  std::vector<size_t> order_;
};

}  // namespace orch::cli
