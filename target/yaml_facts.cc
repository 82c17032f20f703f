// SPDX-License-Identifier: Apache-2.0

// YAML becomes JSON event by event: yaml-cpp's document model would take thirty times the text. An
// alias is a copy in JSON, and a few aliases of aliases stand for any number of values; so every
// value carries its extent (values, bytes, depth), and an alias is counted with that of its anchor
// before it is copied. What anchors keep is counted too. After the first error the builder only
// listens, because the parser can't be stopped but by throwing.

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/text.h"
#include "target/fact_formats.h"

namespace orch::target {
namespace {

using nlohmann::json;

constexpr size_t kQuotedKeyMax = 80;
// What each value takes besides its text, about.
constexpr size_t kValueBytes = 16;

bool AllOf(absl::string_view text, bool (*is)(unsigned char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is);
}
bool IsOctal(unsigned char c) { return c >= '0' && c <= '7'; }
bool IsHex(unsigned char c) { return absl::ascii_isxdigit(c); }
bool IsDigit(unsigned char c) { return absl::ascii_isdigit(c); }

// (\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, without its sign.
bool IsFloat(absl::string_view text) {
  const size_t e = text.find_first_of("eE");
  if (e != absl::string_view::npos) {
    absl::string_view exponent = text.substr(e + 1);
    if (!exponent.empty() && (exponent[0] == '+' || exponent[0] == '-')) exponent.remove_prefix(1);
    if (!AllOf(exponent, IsDigit)) return false;
    text = text.substr(0, e);
  }
  const size_t dot = text.find('.');
  if (dot == absl::string_view::npos) return AllOf(text, IsDigit);
  const absl::string_view whole = text.substr(0, dot);
  const absl::string_view rest = text.substr(dot + 1);
  return (whole.empty() || AllOf(whole, IsDigit)) && (rest.empty() || AllOf(rest, IsDigit)) &&
         !(whole.empty() && rest.empty());
}

json Integer(absl::string_view digits, int base, bool negative, const std::string& text) {
  uint64_t value = 0;
  for (const char digit : digits) {
    const unsigned add =
        absl::ascii_isdigit(digit) ? digit - '0' : absl::ascii_tolower(digit) - 'a' + 10;
    if (__builtin_mul_overflow(value, static_cast<uint64_t>(base), &value) ||
        __builtin_add_overflow(value, add, &value)) {
      return text;
    }
  }
  if (!negative) {
    return value <= INT64_MAX ? json(static_cast<int64_t>(value)) : json(value);
  }
  constexpr uint64_t kLeast = uint64_t{1} << 63;
  if (value > kLeast) return text;
  return value == kLeast ? INT64_MIN : -static_cast<int64_t>(value);
}

// A plain scalar by the core schema, https://yaml.org/spec/1.2.2/#1032-tag-resolution. An error is
// what JSON has no place for.
absl::StatusOr<json> CoreValue(const std::string& text) {
  if (text == "true" || text == "True" || text == "TRUE") return json(true);
  if (text == "false" || text == "False" || text == "FALSE") return json(false);
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return json();
  }
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "0o") && AllOf(rest, IsOctal)) {
    return Integer(rest, 8, false, text);
  }
  rest = text;
  if (absl::ConsumePrefix(&rest, "0x") && AllOf(rest, IsHex)) {
    return Integer(rest, 16, false, text);
  }
  rest = text;
  const bool negative = rest[0] == '-';
  if (negative || rest[0] == '+') rest.remove_prefix(1);
  if (AllOf(rest, IsDigit)) return Integer(rest, 10, negative, text);
  const bool infinite = rest == ".inf" || rest == ".Inf" || rest == ".INF";
  if (infinite || text == ".nan" || text == ".NaN" || text == ".NAN") {
    return absl::InvalidArgumentError(
        absl::StrCat(text, " is no number of JSON; quote it to have it as text"));
  }
  double number = 0;
  if (!IsFloat(rest) || !absl::SimpleAtod(rest, &number) || !std::isfinite(number)) {
    return json(text);
  }
  return json(negative ? -number : number);
}

// Builds the document; after the first error it only listens.
class Builder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (KeyNext()) return Fail(mark, "a key that is no text");
    Place(mark, json(), anchor, {1, kValueBytes, 0});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!status_.ok()) return;
    const auto found = anchors_.find(anchor);
    if (KeyNext()) return Fail(mark, "a key that is an alias");
    if (found == anchors_.end()) return Fail(mark, "an alias of what it is part of");
    // Before it is copied.
    if (!Fits(mark, found->second.extent)) return;
    Place(mark, found->second.value, 0, found->second.extent);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    if (!status_.ok()) return;
    if (KeyNext()) {
      Frame& frame = frames_.back();
      frame.key = text;
      frame.has_key = true;
      bytes_ += kValueBytes + text.size();
      if (frame.value.contains(text)) {
        Fail(mark, absl::StrCat("two keys ", base::CutUtf8(text, kQuotedKeyMax)));
      }
      return;
    }
    // `?` is a plain scalar, `!` a quoted one; a core tag says what the text is to be read as.
    const bool core = tag == "?" || tag == "tag:yaml.org,2002:int" ||
                      tag == "tag:yaml.org,2002:float" || tag == "tag:yaml.org,2002:bool" ||
                      tag == "tag:yaml.org,2002:null";
    absl::StatusOr<json> value = core ? CoreValue(text) : json(text);
    if (!value.ok()) return Fail(mark, value.status().message());
    Place(mark, *std::move(value), anchor, {1, kValueBytes + text.size(), 0});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Enter(mark, json::array(), anchor);
  }
  void OnSequenceEnd() override { Leave(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Enter(mark, json::object(), anchor);
  }
  void OnMapEnd() override { Leave(); }

  absl::StatusOr<json> Take() {
    ORCH_RETURN_IF_ERROR(status_);
    return std::move(root_);
  }

 private:
  // Of a value with all that is in it.
  struct Extent {
    size_t values = 0;
    size_t bytes = 0;
    int depth = 0;
  };
  struct Frame {
    json value;
    std::string key;
    bool has_key = false;
    YAML::Mark mark;
    YAML::anchor_t anchor = 0;
    size_t values_before = 0;
    size_t bytes_before = 0;
    int depth = 1;  // of what is in it
  };
  struct Anchor {
    json value;
    Extent extent;
  };

  // Fails where `more` would be too much.
  bool Fits(const YAML::Mark& mark, const Extent& more) {
    if (values_ + more.values > kFactValuesMax) {
      Fail(mark, absl::StrCat("more than ", kFactValuesMax, " values"));
    } else if (bytes_ + kept_bytes_ + more.bytes > kYamlBytesMax) {
      Fail(mark, absl::StrCat("more than ", kYamlBytesMax, " bytes, with what aliases stand for"));
    }
    return status_.ok();
  }

  bool KeyNext() const {
    return status_.ok() && !frames_.empty() && frames_.back().value.is_object() &&
           !frames_.back().has_key;
  }

  void Fail(const YAML::Mark& mark, absl::string_view why) {
    if (!status_.ok()) return;
    status_ = absl::InvalidArgumentError(
        mark.line < 0 ? std::string(why) : absl::StrCat("line ", mark.line + 1, ": ", why));
  }

  void Enter(const YAML::Mark& mark, json empty, YAML::anchor_t anchor) {
    if (!status_.ok()) return;
    if (KeyNext()) return Fail(mark, "a key that is no text");
    if (frames_.size() >= kFactsDepthMax) return Fail(mark, TooDeep());
    frames_.push_back({std::move(empty), "", false, mark, anchor, values_, bytes_, 1});
  }
  void Leave() {
    if (!status_.ok()) return;
    Frame frame = std::move(frames_.back());
    frames_.pop_back();
    const size_t values = values_ - frame.values_before;
    const size_t bytes = bytes_ - frame.bytes_before;
    values_ = frame.values_before;  // Place counts them again
    bytes_ = frame.bytes_before;
    Place(frame.mark, std::move(frame.value), frame.anchor,
          {values + 1, bytes + kValueBytes, frame.depth});
  }

  static std::string TooDeep() {
    return absl::StrCat("nested more than ", kFactsDepthMax, " levels deep");
  }

  void Place(const YAML::Mark& mark, json value, YAML::anchor_t anchor, const Extent& extent) {
    if (!status_.ok()) return;
    if (anchor != 0) kept_bytes_ += extent.bytes;
    if (!Fits(mark, extent)) return;
    values_ += extent.values;
    bytes_ += extent.bytes;
    if (frames_.size() + extent.depth > kFactsDepthMax) return Fail(mark, TooDeep());
    if (anchor != 0) anchors_[anchor] = {value, extent};
    if (frames_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = frames_.back();
    frame.depth = std::max(frame.depth, extent.depth + 1);
    if (frame.value.is_array()) {
      frame.value.push_back(std::move(value));
    } else {
      frame.value[frame.key] = std::move(value);
      frame.has_key = false;
    }
  }

  absl::Status status_;
  json root_;
  std::vector<Frame> frames_;
  std::map<YAML::anchor_t, Anchor> anchors_;
  size_t values_ = 0;
  size_t bytes_ = 0;
  size_t kept_bytes_ = 0;  // in anchors_
};

}  // namespace

absl::StatusOr<json> ParseYamlFacts(const std::string& raw) {
  // yaml-cpp takes any bytes, and hands them on.
  const std::string text =
      base::IsUtf8(raw) ? raw : base::ToUtf8(raw, std::numeric_limits<size_t>::max());
  Builder builder;
  try {
    std::istringstream in(text);
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(builder)) return json::object();
    ORCH_ASSIGN_OR_RETURN(json facts, builder.Take());
    Builder second;
    if (parser.HandleNextDocument(second)) {
      return absl::InvalidArgumentError("a second document; facts are one");
    }
    if (facts.is_null()) return json::object();
    if (!facts.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat("facts are a mapping, this is ", facts.type_name()));
    }
    return facts;
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("not YAML: line ", error.mark.line + 1, ": ", error.msg));
  }
}

}  // namespace orch::target
