// SPDX-License-Identifier: Apache-2.0
#include "cli/columns.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/json.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/distribution.h"
#include "cli/render.h"
#include "cli/text.h"
#include "target/compare.h"

namespace orch::cli {
namespace {

using nlohmann::json;

constexpr char kPossible[] =
    "identity, version, facts.<path>, classes, classes.<name>, actions, actions.<name>, "
    "collectives, puppet.<field>, facts or facts_time";

absl::Status CheckPuppetField(const std::string& field) {
  const auto* descriptor = orch::v1::PuppetStatusResult::descriptor();
  if (descriptor->FindFieldByName(field) != nullptr) return absl::OkStatus();
  std::vector<std::string> known;
  for (int i = 0; i < descriptor->field_count(); ++i) known.push_back(descriptor->field(i)->name());
  return absl::InvalidArgumentError(
      absl::StrCat("puppet has no `", field, "`; it has ", absl::StrJoin(known, ", ")));
}

// What stands before the first `=`, unless that is part of a name (`facts.a=b`, though a strange
// one).
absl::string_view HeaderOf(absl::string_view text) {
  const size_t equals = text.find('=');
  if (equals == absl::string_view::npos) return "";
  const absl::string_view header = text.substr(0, equals);
  for (const char* word : {"facts.", "classes.", "actions.", "collectives.", "puppet."}) {
    if (absl::StartsWith(header, word)) return "";
  }
  return header;
}

template <typename Names>
json ListOf(const Names& names) {
  json list = json::array();
  for (const std::string& name : names) list.push_back(name);
  return list;
}

// All of it, or whether `name` is in it.
json InList(const json& list, const std::string& name) {
  if (name.empty() || list.is_null()) return list;
  return std::find(list.begin(), list.end(), json(name)) != list.end();
}

}  // namespace

absl::StatusOr<Column> ParseColumn(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  Column column;
  column.header = std::string(text);
  if (const absl::string_view header = HeaderOf(text); !header.empty()) {
    column.header = std::string(absl::StripAsciiWhitespace(header));
    text = absl::StripAsciiWhitespace(text.substr(header.size() + 1));
  }
  const size_t dot = text.find('.');
  column.word = std::string(text.substr(0, dot));
  if (dot != absl::string_view::npos) column.rest = std::string(text.substr(dot + 1));
  const bool alone =
      column.word == "identity" || column.word == "version" || column.word == "facts_time";
  const bool deep = column.word == "facts" || column.word == "classes" ||
                    column.word == "actions" || column.word == "collectives" ||
                    column.word == "puppet";
  if (!(alone && dot == absl::string_view::npos) &&
      !(deep && (dot == absl::string_view::npos || !column.rest.empty()))) {
    std::string hint;
    if (!alone && !deep && !text.empty() && column.header == text)
      hint = absl::StrCat("; a fact is written facts.", text);
    return absl::InvalidArgumentError(
        absl::StrCat("expected ", kPossible, ", found \"", Safe(text), "\"", hint));
  }
  if (column.word == "puppet" && !column.rest.empty())
    ORCH_RETURN_IF_ERROR(CheckPuppetField(column.rest));
  return column;
}

absl::StatusOr<std::vector<Column>> ParseColumns(absl::string_view text, size_t before) {
  std::vector<Column> columns;
  size_t at = 0;
  const auto error_at = [text, before](size_t position, absl::string_view what) {
    const size_t character = base::Utf8Characters(text.substr(0, position));
    return absl::InvalidArgumentError(absl::StrCat("column ", before + character + 1, ": ", what));
  };
  for (;;) {
    while (at < text.size() && text[at] == ' ') ++at;
    const size_t start = at;
    std::string word;
    bool quoted = false;
    for (; at < text.size() && (quoted || text[at] != ','); ++at) {
      if (text[at] != '"') {
        word += text[at];
      } else if (quoted && at + 1 < text.size() && text[at + 1] == '"') {
        word += text[at++];
      } else {
        quoted = !quoted;
      }
    }
    if (quoted) return error_at(start, "a double quote is not closed");
    absl::StatusOr<Column> column = ParseColumn(word);
    if (!column.ok()) return error_at(start, column.status().message());
    columns.push_back(*std::move(column));
    if (at == text.size()) return columns;
    ++at;
  }
}

Subject::Subject(const orch::v1::JobNode& node) : identity_(node.node()) {
  const orch::v1::ActionResult& result = node.result();
  if (result.has_node_ping()) version_ = result.node_ping().version();
  // By their whole paths, which win over nested keys when they are looked for.
  for (const auto& [path, value] : result.node_facts().facts())
    facts_[path] = api::FromValue(value);
  if (!result.has_node_inventory()) return;
  const orch::v1::NodeInventoryResult& inventory = result.node_inventory();
  version_ = inventory.version();
  facts_ = api::FromStruct(inventory.facts());
  classes_ = ListOf(inventory.classes());
  actions_ = ListOf(inventory.actions());
  collectives_ = ListOf(inventory.collectives());
  if (inventory.has_facts_time()) facts_time_ = When(inventory.facts_time());
  puppet_ = json::parse(api::ToJson(inventory.puppet()), nullptr, false);
}

json Subject::Value(const Column& column) const {
  if (column.word == "identity") return identity_;
  if (column.word == "version") return version_.empty() ? json() : json(version_);
  if (column.word == "facts_time") return facts_time_.empty() ? json() : json(facts_time_);
  if (column.word == "classes") return InList(classes_, column.rest);
  if (column.word == "actions") return InList(actions_, column.rest);
  if (column.word == "collectives") return InList(collectives_, column.rest);
  if (column.word == "puppet") {
    if (!puppet_.is_object()) return json();
    if (column.rest.empty()) return puppet_.value("status", json());
    return puppet_.value(column.rest, json());
  }
  if (column.rest.empty()) return facts_;
  const json* fact = target::FindFact(facts_, column.rest);
  return fact == nullptr ? json() : *fact;
}

std::string ValueText(const json& value) {
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  const bool plain_list = value.is_array() && std::none_of(value.begin(), value.end(), [](auto& e) {
                            return e.is_structured();
                          });
  if (!plain_list) return JsonText(value);
  std::vector<std::string> texts;
  for (const json& element : value) {
    texts.push_back(element.is_string() ? element.get<std::string>() : JsonText(element));
  }
  return absl::StrJoin(texts, ", ");
}

}  // namespace orch::cli
