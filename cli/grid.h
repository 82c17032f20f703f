// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace orch::cli {

// A cell, and what stands for it when rows are sorted: its text as people count (NaturalLess), or a
// number where the text is none (`4.2 s ago`).
struct Cell {
  Cell(std::string text_in) : text(std::move(text_in)) {}  // NOLINT: text is what most cells are
  Cell(const char* text_in) : text(text_in) {}             // NOLINT
  Cell(std::string text_in, double key_in) : text(std::move(text_in)), key(key_in) {}

  std::string text;
  std::optional<double> key;
};

// `LAST SEEN` is sorted by as `last-seen`.
std::string SortKey(const std::string& header);
// The keys of `--sort-by a,-b`, each with whether it goes downwards. InvalidArgument names the key
// that is not in `known`, and what there is.
absl::StatusOr<std::vector<std::pair<std::string, bool>>> ParseSortBy(
    const std::string& sort_by, const std::vector<std::string>& known);

// Rows for people, which --sort-by can order. Pure.
class Grid {
 public:
  explicit Grid(std::vector<std::string> headers) : headers_(std::move(headers)) {}

  // As many cells as there are headers.
  void Add(std::vector<Cell> row);
  // `column`, `-column` for the other way round, several with commas between them; ties stay as
  // they were added. Empty: as added. InvalidArgument: no such column.
  absl::Status SortBy(const std::string& sort_by);
  // Which row, counted as added, stands where.
  const std::vector<size_t>& order() const { return order_; }
  const std::vector<std::string>& headers() const { return headers_; }
  // The cells' texts, in order.
  std::vector<std::string> Row(size_t i) const;

  // The first `columns` columns, padded to their widest cell.
  std::string Print(bool headers, size_t columns) const;

  // Puts what the rows were made of into the rows' order.
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
