// SPDX-License-Identifier: Apache-2.0
#include "cli/fold.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

// What a longer number would not fit into.
constexpr size_t kDigitsMax = 18;

// A name around the last number of its first label.
struct Numbered {
  std::string prefix, digits, suffix;
  uint64_t number = 0;
};

std::optional<Numbered> Split(const std::string& name) {
  const size_t label = std::min(name.find('.'), name.size());
  size_t end = label;
  while (end > 0 && !absl::ascii_isdigit(static_cast<unsigned char>(name[end - 1]))) --end;
  size_t begin = end;
  while (begin > 0 && absl::ascii_isdigit(static_cast<unsigned char>(name[begin - 1]))) --begin;
  Numbered out{name.substr(0, begin), name.substr(begin, end - begin), name.substr(end)};
  if (out.digits.empty() || out.digits.size() > kDigitsMax) return std::nullopt;
  if (!absl::SimpleAtoi(out.digits, &out.number)) return std::nullopt;
  return out;
}

// Names of one row: how many digits they have at least, zeros in front.
using RowKey = std::tuple<std::string, std::string, size_t>;

struct Piece {
  std::string text;
  std::string first;  // the first name that it stands for
  size_t nodes = 0;
};

std::vector<Piece> Fold(std::vector<std::string> names) {
  std::sort(names.begin(), names.end(), NaturalLess);
  names.erase(std::unique(names.begin(), names.end()), names.end());
  std::map<RowKey, std::vector<uint64_t>> rows;
  std::vector<Piece> pieces;
  // Where a number of some length has a zero in front, all of that length are written so.
  std::map<RowKey, bool> padded;
  std::vector<Numbered> numbered;
  for (const std::string& name : names) {
    std::optional<Numbered> split = Split(name);
    if (!split.has_value()) {
      pieces.push_back({name, name, 1});
      continue;
    }
    bool& zeros = padded[{split->prefix, split->suffix, split->digits.size()}];
    zeros = zeros || (split->digits.size() > 1 && split->digits[0] == '0');
    numbered.push_back(*std::move(split));
  }
  for (const Numbered& one : numbered) {
    const bool zeros = padded.at({one.prefix, one.suffix, one.digits.size()});
    rows[{one.prefix, one.suffix, zeros ? one.digits.size() : 0}].push_back(one.number);
  }
  for (auto& [key, numbers] : rows) {
    const auto& [prefix, suffix, width] = key;
    const auto written = [width = width](uint64_t number) {
      const std::string digits = absl::StrCat(number);
      return std::string(width > digits.size() ? width - digits.size() : 0, '0') + digits;
    };
    std::sort(numbers.begin(), numbers.end());
    std::string inside;
    for (size_t i = 0; i < numbers.size();) {
      size_t end = i;
      while (end + 1 < numbers.size() && numbers[end + 1] == numbers[end] + 1) ++end;
      absl::StrAppend(&inside, inside.empty() ? "" : ",", written(numbers[i]));
      if (end > i) absl::StrAppend(&inside, end == i + 1 ? "," : "-", written(numbers[end]));
      i = end + 1;
    }
    const std::string first = absl::StrCat(prefix, written(numbers[0]), suffix);
    const std::string text =
        numbers.size() == 1 ? first : absl::StrCat(prefix, "[", inside, "]", suffix);
    pieces.push_back({text, first, numbers.size()});
  }
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return NaturalLess(a.first, b.first); });
  return pieces;
}

}  // namespace

std::vector<std::string> FoldNames(std::vector<std::string> names) {
  std::vector<std::string> texts;
  for (Piece& piece : Fold(std::move(names))) texts.push_back(std::move(piece.text));
  return texts;
}

std::string FoldedNames(const std::vector<std::string>& names, size_t width,
                        const std::string& ellipsis) {
  const std::vector<Piece> pieces = Fold(names);
  size_t left = 0;
  std::string all;
  for (const Piece& piece : pieces) {
    left += piece.nodes;
    absl::StrAppend(&all, all.empty() ? "" : ", ", piece.text);
  }
  if (width == 0 || Columns(all) <= width) return all;
  std::string out;
  for (const Piece& piece : pieces) {
    const std::string longer = absl::StrCat(out, out.empty() ? "" : ", ", piece.text);
    const size_t after = left - piece.nodes;
    const std::string more = after == 0 ? "" : absl::StrCat(" and ", after, " more");
    if (Columns(longer) + Columns(more) > width) {
      if (out.empty()) return Cut(longer, width, ellipsis);
      return absl::StrCat(out, " and ", left, " more");
    }
    out = longer;
    left = after;
  }
  return out;
}

}  // namespace orch::cli
