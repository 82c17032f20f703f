// SPDX-License-Identifier: Apache-2.0
#include "cli/distribution.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "api/json.h"
#include "base/status.h"
#include "cli/grid.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

constexpr char kNone[] = "(none)";
// Values in the first column get at most so much room where nothing is cut, so that one long value
// does not push the others' bars off the line.
constexpr size_t kValueColumnsMax = 60;
constexpr size_t kBarMin = 5, kBarMax = 40;

// Numbers first, by value; then everything else as people count.
bool ValueLess(const Share& a, const Share& b) {
  if (a.value.is_number() != b.value.is_number()) return a.value.is_number();
  if (a.value.is_number()) return a.value.get<double>() < b.value.get<double>();
  return NaturalLess(a.text, b.text);
}

std::string Percent(size_t part, size_t whole) {
  if (part == whole) return "100%";
  const size_t percent = (part * 200 + whole) / (whole * 2);
  if (percent == 0) return "<1%";
  return percent >= 100 ? ">99%" : absl::StrCat(percent, "%");
}

std::string Heading(const Distribution& distribution, size_t values, const Terminal& terminal) {
  const auto some = [](size_t n, const char* noun) {
    return absl::StrCat(n, " ", noun, n == 1 ? "" : "s");
  };
  return absl::StrCat(
      Paint(terminal, Color::kBold, Safe(distribution.fact)), "  ",
      Paint(terminal, Color::kDim,
            absl::StrCat(some(values, "value"), " on ", some(distribution.answered, "node"))),
      "\n");
}

}  // namespace

std::string JsonText(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string FactText(const nlohmann::json& value) {
  if (!value.is_string()) return JsonText(value);
  const std::string& text = value.get_ref<const std::string&>();
  const bool plain = !text.empty() && text != kNone && !absl::ascii_isspace(text.front()) &&
                     !absl::ascii_isspace(text.back()) && !nlohmann::json::accept(text);
  return plain ? text : JsonText(value);
}

const std::vector<std::string>& ShareSortKeys() {
  static const auto* const keys = new std::vector<std::string>{"count", "value"};
  return *keys;
}

Distribution Distribute(const std::string& fact,
                        const std::map<std::string, orch::v1::JobNode>& nodes) {
  Distribution out;
  out.fact = fact;
  Share none;
  none.text = kNone;
  std::map<std::string, Share> shares;
  for (const auto& [name, node] : nodes) {
    if (!node.result().has_node_facts()) continue;
    ++out.answered;
    const auto& facts = node.result().node_facts().facts();
    const auto it = facts.find(fact);
    if (it == facts.end()) {
      none.nodes.push_back(name);
      continue;
    }
    nlohmann::json value = api::FromValue(it->second);
    if (value.is_object()) {
      for (const auto& [key, inner] : value.items()) out.parts.insert(absl::StrCat(fact, ".", key));
    }
    Share& share = shares[JsonText(value)];
    if (share.nodes.empty()) {
      share.text = FactText(value);
      share.value = std::move(value);
    }
    share.nodes.push_back(name);
  }
  for (auto& [key, share] : shares) out.shares.push_back(std::move(share));
  if (!none.nodes.empty()) out.shares.push_back(std::move(none));
  return out;
}

absl::Status SortShares(const std::string& sort_by, Distribution* distribution) {
  ORCH_ASSIGN_OR_RETURN(const auto keys,
                        ParseSortBy(sort_by.empty() ? "count" : sort_by, ShareSortKeys()));
  const auto before = [](const std::string& key, const Share& a, const Share& b) {
    return key == "count" ? a.nodes.size() > b.nodes.size() : ValueLess(a, b);
  };
  std::stable_sort(distribution->shares.begin(), distribution->shares.end(),
                   [&](const Share& a, const Share& b) {
                     if (a.value.is_null() != b.value.is_null()) return b.value.is_null();
                     for (const auto& [key, down] : keys) {
                       if (before(key, down ? b : a, down ? a : b)) return true;
                       if (before(key, down ? a : b, down ? b : a)) return false;
                     }
                     return ValueLess(a, b);
                   });
  return absl::OkStatus();
}

std::string Drawn(const Distribution& distribution, const Terminal& terminal, bool wide,
                  bool headers) {
  const bool cut = terminal.out_is_tty && !wide;
  const size_t width = std::max(terminal.width, 20);
  const size_t value_max = cut ? std::max<size_t>(width * 2 / 5, 8) : kValueColumnsMax;
  std::vector<std::string> texts;
  size_t value_columns = 0, values = 0, count_columns = 1;
  for (const Share& share : distribution.shares) {
    const std::string text = Safe(share.text);
    texts.push_back(cut ? Cut(text, value_max, terminal.unicode ? "…" : "...") : text);
    value_columns = std::max(value_columns, std::min(Columns(texts.back()), value_max));
    count_columns = std::max(count_columns, absl::StrCat(share.nodes.size()).size());
    values += share.value.is_null() ? 0 : 1;
  }
  const size_t before_bar = value_columns + 2 + count_columns + 2 + 4 + 2;
  const size_t room = width > before_bar + 1 ? std::min(width - before_bar - 1, kBarMax) : 0;
  std::string out = headers ? Heading(distribution, values, terminal) : "";
  for (size_t i = 0; i < texts.size(); ++i) {
    const Share& share = distribution.shares[i];
    const size_t count = share.nodes.size();
    const std::string numbers = absl::StrFormat("  %*d  %4s", static_cast<int>(count_columns),
                                                count, Percent(count, distribution.answered));
    const Color color = share.value.is_null() ? Color::kDim : Color::kNone;
    absl::StrAppend(&out, Paint(terminal, color, Padded(texts[i], value_columns)), numbers);
    if (room >= kBarMin) {
      absl::StrAppend(&out, "  ", Bar(count, distribution.answered, room, terminal.unicode));
    }
    out += '\n';
    for (size_t n = 0; wide && n < count; ++n) absl::StrAppend(&out, "    ", share.nodes[n], "\n");
  }
  return out;
}

}  // namespace orch::cli
