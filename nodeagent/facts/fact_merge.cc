// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/fact_merge.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "nodeagent/facts/fact_files.h"
#include "nodeagent/facts/volatile_facts.h"
#include "target/fact_formats.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

// `12,345`: sizes are compared by eye.
std::string Grouped(size_t number) {
  const std::string digits = std::to_string(number);
  std::string out;
  for (size_t i = 0; i < digits.size(); i++) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ',';
    out += digits[i];
  }
  return out;
}

class Merger {
 public:
  explicit Merger(const MergeOrder& order) : order_(order) {}

  // Empty if it was taken, else why not.
  std::string Add(const MergePiece& piece, const std::string& text) {
    Json facts = Json::parse(text, nullptr, false);
    if (!facts.is_object()) return "no JSON object";
    if (!piece.below.empty()) facts = Below(piece.below, std::move(facts));
    std::map<std::string, std::string> texts;
    size_t bytes = bytes_;
    for (const auto& [name, value] : facts.items()) {
      const std::string& added = texts[name] = OneLine(value);
      const auto before = texts_.find(name);
      bytes -= before == texts_.end() ? 0 : EntryBytes(name, before->second);
      bytes += EntryBytes(name, added);
    }
    if (bytes > order_.bytes_max) {
      return absl::StrCat(Grouped(text.size()), " bytes of facts: with the ", Grouped(bytes_),
                          " of what comes before them more than the ", Grouped(order_.bytes_max),
                          " that are permitted");
    }
    bytes_ = bytes;
    for (auto& [name, value] : facts.items()) {
      facts_[name] = std::move(value);
      texts_[name] = std::move(texts[name]);
      names_[name] = piece.name;
    }
    return "";
  }

  void Finish(Merged* out) {
    std::set<std::string> changing;  // top-level names of facts that may change
    std::vector<std::string> patterns = DefaultVolatileFacts();
    patterns.insert(patterns.end(), order_.volatile_facts.begin(), order_.volatile_facts.end());
    for (const MergePiece& piece : order_.pieces) {
      if (!piece.below.empty()) belows_.insert(piece.below);
    }
    for (const std::string& pattern : patterns) {
      changing.insert(pattern.substr(0, pattern.find('.')));
    }
    std::string lasting;
    for (const auto& [name, text] : texts_) {
      absl::StrAppend(&out->text, out->text.empty() ? "{" : ",", OneLine(Json(name)), ":", text);
      if (changing.contains(name) || changing.contains("*") || belows_.contains(name)) {
        absl::StrAppend(&lasting, Lasting(name, patterns));
      } else {
        absl::StrAppend(&lasting, name, "=", text, "\n");
      }
    }
    absl::StrAppend(&out->text, out->text.empty() ? "{}" : "}");
    std::sort(out->classes.begin(), out->classes.end());
    out->classes.erase(std::unique(out->classes.begin(), out->classes.end()), out->classes.end());
    if (out->classes.size() > target::kClassesMax) out->classes.resize(target::kClassesMax);
    for (const std::string& name : out->classes) absl::StrAppend(&lasting, "\n", name);
    out->digest = base::Sha256(lasting);
    out->facts = std::move(facts_);
    out->names = std::move(names_);
  }

 private:
  // `"name":value,`; the first one's comma stands for the braces.
  static size_t EntryBytes(const std::string& name, const std::string& text) {
    return OneLine(Json(name)).size() + text.size() + 2;
  }

  // Several sources may be put below one name: theirs is what is there already, and `facts`.
  Json Below(const std::string& name, Json facts) const {
    const auto before = facts_.find(name);
    Json merged = before != facts_.end() && before->is_object() ? *before : Json::object();
    for (auto& [key, value] : facts.items()) merged[key] = std::move(value);
    Json out = Json::object();
    out[name] = std::move(merged);
    return out;
  }

  std::string Lasting(const std::string& name, const std::vector<std::string>& patterns) const {
    Json fact = Json::object();
    fact[name] = facts_.at(name);
    for (const std::string& pattern : patterns) {
      RemoveFact(&fact, pattern);
      if (belows_.contains(name)) RemoveFact(&fact, absl::StrCat(name, ".", pattern));
    }
    return absl::StrCat(OneLine(fact), "\n");
  }

  const MergeOrder& order_;
  Json facts_ = Json::object();
  std::map<std::string, std::string> texts_;  // of the values, by name
  std::map<std::string, std::string> names_;
  std::set<std::string> belows_;
  size_t bytes_ = 1;
};

void AddClasses(const std::string& text, std::vector<std::string>* classes) {
  const Json list = Json::parse(text, nullptr, false);
  if (!list.is_array()) return;
  for (const Json& name : list) {
    if (name.is_string()) classes->push_back(name.get<std::string>());
  }
}

}  // namespace

Merged Merge(const MergeOrder& order) {
  Merged out;
  Merger merger(order);
  for (const MergePiece& piece : order.pieces) {
    FactsText taken = piece.fresh != nullptr ? piece.fresh : piece.good;
    std::string refused;
    if (piece.classes) {
      if (taken != nullptr) AddClasses(*taken, &out.classes);
    } else if (taken != nullptr) {
      refused = merger.Add(piece, *taken);
      const FactsText second = taken == piece.good ? nullptr : piece.good;
      if (!refused.empty()) taken = second;
      if (!refused.empty() && second != nullptr && !merger.Add(piece, *second).empty()) {
        taken = nullptr;
      }
    }
    out.taken.push_back(std::move(taken));
    out.refused.push_back(std::move(refused));
  }
  merger.Finish(&out);
  return out;
}

}  // namespace orch::nodeagent
