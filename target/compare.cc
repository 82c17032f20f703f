// SPDX-License-Identifier: Apache-2.0
#include "target/compare.h"

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "target/version.h"

namespace orch::target {
namespace {

using nlohmann::json;

// Elements of elements of … are looked at so deep.
constexpr int kNestedArraysMax = 32;
// An index has at most so many digits.
constexpr size_t kIndexDigitsMax = 9;
// What a step costs beside the bytes it looks at: a comparison, looking for a key.
constexpr size_t kCompareWork = 8, kLookUpWork = 16, kNumberWork = 32;
// A fraction may have three hundred digits.
constexpr size_t kFractionWork = 256;
// So many bytes can be compared, and so many read as a number, for a unit of work.
constexpr size_t kBytesInUnit = 32, kDigitsInUnit = 4;
// Bytes of a text that is read as a number for an explanation.
constexpr size_t kReadMax = 1024;

const json* Element(const json& array, absl::string_view segment) {
  uint32_t index = 0;
  const bool plain = !segment.empty() && segment.size() <= kIndexDigitsMax &&
                     segment.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!plain || !absl::SimpleAtoi(segment, &index) || index >= array.size()) return nullptr;
  return &array[index];
}

bool Holds(Operator op, int order) {
  switch (op) {
    case Operator::kEqual:
      return order == 0;
    case Operator::kNotEqual:
      return order != 0;
    case Operator::kLess:
      return order < 0;
    case Operator::kAtMost:
      return order <= 0;
    case Operator::kGreater:
      return order > 0;
    case Operator::kAtLeast:
      return order >= 0;
    case Operator::kMatches:
    case Operator::kNotMatches:
      break;
  }
  return false;
}

Truth CompareText(absl::string_view text, const Comparison& comparison, Work* work) {
  if (comparison.regex != nullptr) {
    if (!work->Spend(comparison.regex->WorkFor(text.size()))) return Truth::kUnknown;
    const bool matches = comparison.regex->Matches(text);
    return matches == (comparison.op == Operator::kMatches) ? Truth::kTrue : Truth::kFalse;
  }
  if (!work->Spend(kCompareWork + std::min(text.size(), comparison.text.size()) / kBytesInUnit)) {
    return Truth::kUnknown;
  }
  if (comparison.versions) {
    if (!work->Spend((text.size() + comparison.text.size()) / kDigitsInUnit))
      return Truth::kUnknown;
    return Holds(comparison.op, CompareVersions(text, comparison.text)) ? Truth::kTrue
                                                                        : Truth::kFalse;
  }
  const bool ordering = comparison.op != Operator::kEqual && comparison.op != Operator::kNotEqual;
  if (ordering && comparison.number.kind() != Number::Kind::kNone) {
    if (!work->Spend(text.size() / kDigitsInUnit)) return Truth::kUnknown;
    const Number number = Number::Parse(text);
    if (number.kind() == comparison.number.kind()) {
      return Holds(comparison.op, Number::Compare(number, comparison.number)) ? Truth::kTrue
                                                                              : Truth::kFalse;
    }
  }
  return Holds(comparison.op, text.compare(comparison.text)) ? Truth::kTrue : Truth::kFalse;
}

Truth CompareNumber(const json& value, const Comparison& comparison, Work* work) {
  if (!work->Spend(value.is_number_float() ? kFractionWork : kNumberWork)) return Truth::kUnknown;
  const bool by_value = comparison.regex == nullptr && !comparison.versions;
  if (by_value && comparison.number.kind() == Number::Kind::kDecimal) {
    const Number number = Number::Of(value);
    if (number.kind() == Number::Kind::kDecimal) {
      return Holds(comparison.op, Number::Compare(number, comparison.number)) ? Truth::kTrue
                                                                              : Truth::kFalse;
    }
  }
  return CompareText(value.dump(), comparison, work);
}

Truth CompareAt(const json& value, const Comparison& comparison, Work* work, int depth) {
  Truth any = Truth::kFalse;
  switch (value.type()) {
    case json::value_t::array:
      if (depth == kNestedArraysMax) return Truth::kFalse;
      for (const json& element : value) {
        const Truth truth = CompareAt(element, comparison, work, depth + 1);
        if (truth == Truth::kTrue) return truth;
        if (truth == Truth::kUnknown) any = truth;
      }
      return any;
    case json::value_t::object:
      for (auto entry = value.begin(); entry != value.end(); ++entry) {
        const Truth truth = CompareText(entry.key(), comparison, work);
        if (truth == Truth::kTrue) return truth;
        if (truth == Truth::kUnknown) any = truth;
      }
      return any;
    case json::value_t::string:
      return CompareText(value.get_ref<const std::string&>(), comparison, work);
    case json::value_t::boolean:
      return CompareText(value.get<bool>() ? "true" : "false", comparison, work);
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
    case json::value_t::number_float:
      return CompareNumber(value, comparison, work);
    case json::value_t::null:
    case json::value_t::binary:
    case json::value_t::discarded:
      break;
  }
  return Truth::kFalse;
}

}  // namespace

const json* FindFact(const json& facts, absl::string_view path, Work* work) {
  if (facts.is_array()) {
    const size_t dot = path.find('.');
    const json* element = Element(facts, path.substr(0, dot));
    if (element == nullptr || element->is_null()) return nullptr;
    return dot == absl::string_view::npos ? element
                                          : FindFact(*element, path.substr(dot + 1), work);
  }
  if (!facts.is_object()) return nullptr;
  // From the longest key to the shortest.
  for (size_t end = path.size(); end != absl::string_view::npos && end > 0;
       end = path.rfind('.', end - 1)) {
    if (!work->Spend(kLookUpWork + end / kBytesInUnit)) return nullptr;
    const auto found = facts.find(std::string(path.substr(0, end)));
    if (found == facts.end() || found->is_null()) continue;
    if (end == path.size()) return &*found;
    if (const json* inner = FindFact(*found, path.substr(end + 1), work); inner != nullptr) {
      return inner;
    }
  }
  return nullptr;
}

const json* FindFact(const json& facts, absl::string_view path) {
  Work work;
  return FindFact(facts, path, &work);
}

bool FallsToByteOrder(const json& value, const Comparison& comparison) {
  const Operator op = comparison.op;
  const bool ordering = op == Operator::kLess || op == Operator::kAtMost ||
                        op == Operator::kGreater || op == Operator::kAtLeast;
  if (!ordering || comparison.versions || comparison.number.kind() == Number::Kind::kNone) {
    return false;
  }
  if (value.is_number()) return Number::Of(value).kind() != comparison.number.kind();
  if (!value.is_string()) return value.is_boolean();
  const std::string& text = value.get_ref<const std::string&>();
  // What is longer than any number that people compare is read in vain.
  return text.size() > kReadMax || Number::Parse(text).kind() != comparison.number.kind();
}

Truth Compare(const json& value, const Comparison& comparison, Work* work) {
  return CompareAt(value, comparison, work, 0);
}

}  // namespace orch::target
