// SPDX-License-Identifier: Apache-2.0

// A report asks for as little as its columns need: over ten thousand nodes the difference between
// node.ping and a whole inventory can be gigabytes. So columns are parsed before anything is asked,
// also those of --sort-by, and a wrong one costs nothing. Rows keep values and not answers, for the
// same reason. What a node says is made harmless cell by cell; text of the operator's own template
// is left as it is.

#include "cli/report.h"

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/status.h"
#include "base/text.h"
#include "cli/distribution.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using nlohmann::json;

// As node.facts limits them; longer questions take the whole inventory.
constexpr size_t kFactsAskedMax = 64;
constexpr size_t kFactPathBytesMax = 256;
// A cell on a terminal, unless the output is wide.
constexpr size_t kCellColumnsMax = 40;

absl::Status At(absl::string_view whole, absl::string_view rest, absl::string_view what) {
  const absl::string_view before = whole.substr(0, whole.size() - rest.size());
  const size_t character = base::Utf8Characters(before);
  return absl::InvalidArgumentError(absl::StrCat("--format: column ", character + 1, ": ", what));
}

// Takes `"text"` with \" \\ \n \t in it.
absl::StatusOr<std::string> TakeQuoted(absl::string_view* text) {
  if (!absl::ConsumePrefix(text, "\""))
    return absl::InvalidArgumentError("expected text in double quotes");
  std::string out;
  while (!text->empty() && (*text)[0] != '"') {
    char c = (*text)[0];
    if (c == '\\' && text->size() > 1) {
      text->remove_prefix(1);
      c = (*text)[0] == 'n' ? '\n' : (*text)[0] == 't' ? '\t' : (*text)[0];
    }
    out += c;
    text->remove_prefix(1);
  }
  if (!absl::ConsumePrefix(text, "\"")) return absl::InvalidArgumentError("a quote is not closed");
  return out;
}

std::string Unescaped(absl::string_view text) {
  return absl::StrReplaceAll(text, {{"\\n", "\n"}, {"\\t", "\t"}, {"\\\\", "\\"}});
}

}  // namespace

absl::StatusOr<Report> Report::Parse(const std::string& format, const std::string& columns) {
  Report report;
  absl::string_view list = format;
  bool named = true;
  if (absl::ConsumePrefix(&list, "csv")) {
    report.form_ = Form::kCsv;
  } else if (!absl::ConsumePrefix(&list, "table")) {
    named = false;
  }
  std::string flag = "--columns";
  if (named && absl::ConsumePrefix(&list, ":")) {
    if (!columns.empty())
      return absl::InvalidArgumentError("--format and --columns both name columns");
    flag = "--format";
  } else if (format.empty() || (named && list.empty())) {
    list = columns;
  } else if (absl::StrContains(format, "{{")) {
    if (!columns.empty())
      return absl::InvalidArgumentError("--columns is for --format csv or table, not a template");
    report.form_ = Form::kTemplate;
    ORCH_RETURN_IF_ERROR(report.ParseTemplate(format));
    return report;
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        "--format ", Safe(format),
        ": expected csv:A,B,C, table:A,B,C, @FILE or a template such as \"{{ identity }}\""));
  }
  if (absl::StripAsciiWhitespace(list).empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": names no column; for example identity,facts.os.family,classes"));
  }
  absl::StatusOr<std::vector<Column>> parsed =
      ParseColumns(list, flag == "--format" ? format.size() - list.size() : 0);
  if (!parsed.ok()) return base::Annotate(parsed.status(), flag);
  report.columns_ = *std::move(parsed);
  if (report.columns_[0].word != "identity") {
    report.identity_shown_ = false;
    report.columns_.insert(report.columns_.begin(), *ParseColumn("identity"));
  }
  return report;
}

absl::Status Report::ParseTemplate(absl::string_view text) {
  columns_.push_back(*ParseColumn("identity"));
  absl::string_view rest = text;
  for (;;) {
    const size_t open = rest.find("{{");
    if (open != 0 && !rest.empty()) {
      Piece piece;
      piece.text = Unescaped(rest.substr(0, open));
      pieces_.push_back(std::move(piece));
    }
    if (open == absl::string_view::npos) return absl::OkStatus();
    rest.remove_prefix(open);
    const size_t close = rest.find("}}");
    if (close == absl::string_view::npos) return At(text, rest, "{{ without }}");
    Piece piece;
    const absl::Status parsed = ParsePiece(rest.substr(2, close - 2), &piece);
    if (!parsed.ok()) return At(text, rest, parsed.message());
    pieces_.push_back(std::move(piece));
    rest.remove_prefix(close + 2);
  }
}

absl::Status Report::ParsePiece(absl::string_view text, Piece* piece) {
  text = absl::StripAsciiWhitespace(text);
  if (absl::StartsWith(text, "\"")) {
    ORCH_ASSIGN_OR_RETURN(piece->text, TakeQuoted(&text));
    if (!text.empty()) return absl::InvalidArgumentError("expected }} behind the text");
    return absl::OkStatus();
  }
  const size_t bar = text.find('|');
  ORCH_ASSIGN_OR_RETURN(Column column, ParseColumn(text.substr(0, bar)));
  piece->column = columns_.size();
  for (size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].word == column.word && columns_[i].rest == column.rest) piece->column = i;
  }
  if (piece->column == columns_.size()) columns_.push_back(std::move(column));
  text.remove_prefix(std::min(bar, text.size()));
  while (absl::ConsumePrefix(&text, "|")) {
    text = absl::StripLeadingAsciiWhitespace(text);
    Filter filter;
    while (!text.empty() && absl::ascii_isalpha(text[0])) {
      filter.name += text[0];
      text.remove_prefix(1);
    }
    text = absl::StripLeadingAsciiWhitespace(text);
    if (filter.name == "join" || filter.name == "default") {
      absl::StatusOr<std::string> argument = TakeQuoted(&text);
      if (!argument.ok()) return base::Annotate(argument.status(), filter.name);
      filter.argument = *std::move(argument);
    } else if (filter.name != "json" && filter.name != "count") {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a filter: join \"…\", default \"…\", json or count"));
    }
    piece->filters.push_back(std::move(filter));
    text = absl::StripLeadingAsciiWhitespace(text);
  }
  if (!text.empty())
    return absl::InvalidArgumentError(absl::StrCat("expected | or }}, found \"", Safe(text), "\""));
  return absl::OkStatus();
}

orch::v1::Action Report::Question() const {
  std::set<std::string> facts;
  bool more = false;
  for (const Column& column : columns_) {
    if (column.is_fact() && column.rest.size() <= kFactPathBytesMax) {
      facts.insert(column.rest);
    } else if (column.word != "identity") {
      more = true;
    }
  }
  orch::v1::Action action;
  if (more || facts.size() > kFactsAskedMax) {
    action.mutable_node_inventory();
  } else if (facts.empty()) {
    action.mutable_node_ping();
  } else {
    for (const std::string& fact : facts) action.mutable_node_facts()->add_facts(fact);
  }
  return action;
}

absl::Status Report::CheckSortBy(const std::string& sort_by) const {
  std::vector<std::string> known;
  for (const Column& column : columns_) known.push_back(SortKey(column.header));
  return ParseSortBy(sort_by, known).status();
}

void Report::Add(const orch::v1::JobNode& node) {
  if (node.state() != orch::v1::NODE_STATE_SUCCEEDED) return;
  const Subject subject(node);
  Row row;
  for (const Column& column : columns_) row.push_back(subject.Value(column));
  rows_.push_back(std::move(row));
}

Grid Report::Sorted(const std::string& sort_by) const {
  std::vector<std::string> headers;
  for (const Column& column : columns_) headers.push_back(column.header);
  Grid grid(std::move(headers));
  for (const Row& row : rows_) {
    std::vector<Cell> cells;
    for (const json& value : row) {
      cells.push_back(value.is_number() ? Cell(JsonText(value), value.get<double>())
                                        : Cell(ValueText(value)));
    }
    grid.Add(std::move(cells));
  }
  // Checked before anything was asked.
  const absl::Status sorted = grid.SortBy(sort_by);
  return grid;
}

std::string Report::Print(const Terminal& terminal, const std::string& sort_by, bool wide,
                          bool headers) {
  std::sort(rows_.begin(), rows_.end(), [](const Row& a, const Row& b) {
    return a[0].get_ref<const std::string&>() < b[0].get_ref<const std::string&>();
  });
  const Grid order = Sorted(sort_by);
  const size_t first = identity_shown_ ? 0 : 1;
  std::vector<std::string> names;
  for (size_t c = first; c < columns_.size(); ++c) names.push_back(columns_[c].header);
  Grid table(names);
  std::string out;
  if (form_ == Form::kCsv && headers) {
    for (std::string& name : names) name = CsvField(name);
    absl::StrAppend(&out, absl::StrJoin(names, ","), "\n");
  }
  const bool cut = terminal.out_is_tty && !wide;
  for (const size_t r : order.order()) {
    const Row& row = rows_[r];
    if (form_ == Form::kTemplate) {
      absl::StrAppend(&out, Filled(row), "\n");
      continue;
    }
    std::vector<Cell> cells;
    std::vector<std::string> fields;
    for (size_t c = first; c < row.size(); ++c) {
      if (form_ == Form::kCsv) {
        fields.push_back(CsvField(row[c]));
        continue;
      }
      std::string text = row[c].is_null() ? "-" : Safe(ValueText(row[c]));
      if (cut) text = Cut(text, kCellColumnsMax, terminal.unicode ? "…" : "...");
      cells.emplace_back(std::move(text));
    }
    if (form_ == Form::kCsv) absl::StrAppend(&out, absl::StrJoin(fields, ","), "\n");
    if (form_ == Form::kTable) table.Add(std::move(cells));
  }
  if (form_ == Form::kTable && !rows_.empty()) out = table.Print(headers, names.size());
  return out;
}

std::string Report::Filled(const Row& row) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    if (!piece.column.has_value()) {
      out += piece.text;
      continue;
    }
    json value = row[*piece.column];
    bool own = false;  // made harmless already, with the operator's own words in it
    for (const Filter& filter : piece.filters) {
      if (filter.name == "default" && value.is_null()) {
        value = filter.argument;
        own = true;
      } else if (filter.name == "json") {
        value = JsonText(value);
        own = false;
      } else if (filter.name == "count") {
        value = value.is_structured() ? value.size() : value.is_null() ? 0 : 1;
      } else if (filter.name == "join" && value.is_array()) {
        std::vector<std::string> texts;
        for (const json& element : value) texts.push_back(Safe(ValueText(element)));
        value = absl::StrJoin(texts, filter.argument);
        own = true;
      }
    }
    out += own ? ValueText(value) : Safe(ValueText(value));
  }
  return out;
}

std::string CsvField(const json& value) {
  std::string text = Safe(ValueText(value));
  double number = 0;
  const bool formula = !text.empty() && absl::StrContains("=+-@", text.substr(0, 1)) &&
                       !value.is_number() && !absl::SimpleAtod(text, &number);
  if (formula) text.insert(0, 1, '\'');
  const bool quotes = text.find_first_of(",\"") != std::string::npos ||
                      (!text.empty() && (text.front() == ' ' || text.back() == ' '));
  if (!quotes) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace orch::cli
