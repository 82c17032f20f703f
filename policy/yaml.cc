// SPDX-License-Identifier: Apache-2.0
#include "policy/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <memory>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "base/text.h"

namespace orch::policy {
namespace {

constexpr size_t kDepthMax = 16;
constexpr size_t kKeysMax = 2'000;  // of one mapping

// Builds the tree from the parser's events: those tell what a finished YAML::Node has forgotten,
// such as aliases.
class Builder : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Add(Make(Yaml::Kind::kNull, mark));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { Refuse(mark, "aliases"); }

  void OnAnchor(const YAML::Mark& mark, const std::string&) override { Refuse(mark, "anchors"); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    CheckTag(mark, tag);
    Yaml node = Make(Yaml::Kind::kText, mark);
    node.text = value;
    Add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    CheckTag(mark, tag);
    Open(Make(Yaml::Kind::kList, mark));
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    CheckTag(mark, tag);
    Open(Make(Yaml::Kind::kMap, mark));
  }
  void OnMapEnd() override { Close(); }

  const std::string& error() const { return error_; }
  int error_line() const { return error_line_; }
  Yaml TakeRoot() { return std::move(root_); }

 private:
  // A collection under construction; in a map the key whose value comes next.
  struct Level {
    Yaml node;
    bool has_key = false;
    std::string key;
  };

  static Yaml Make(Yaml::Kind kind, const YAML::Mark& mark) {
    Yaml out;
    out.kind = kind;
    out.line = mark.line + 1;
    return out;
  }

  void CheckTag(const YAML::Mark& mark, const std::string& tag) {
    if (!tag.empty() && tag != "?" && tag != "!") Refuse(mark, "tags");
  }

  void Refuse(const YAML::Mark& mark, absl::string_view what) {
    Fail(mark.line + 1, absl::StrCat(what, " are not allowed"));
  }

  void Fail(int line, std::string why) {
    if (!error_.empty()) return;
    error_ = std::move(why);
    error_line_ = line;
  }

  void Open(Yaml node) {
    if (levels_.size() == kDepthMax) Fail(node.line, "nested too deeply");
    levels_.push_back({std::move(node), false, ""});
  }

  void Close() {
    Yaml node = std::move(levels_.back().node);
    levels_.pop_back();
    Add(std::move(node));
  }

  void Add(Yaml node) {
    if (!error_.empty()) return;
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == Yaml::Kind::kList) {
      level.node.list.push_back(std::move(node));
    } else if (level.has_key) {
      level.has_key = false;
      level.node.map.emplace_back(level.key, std::move(node));
    } else if (node.kind != Yaml::Kind::kText) {
      Fail(node.line, "a key must be a plain word");
    } else if (level.node.map.size() == kKeysMax) {
      Fail(node.line, absl::StrCat("more than ", kKeysMax, " keys"));
    } else if (level.node.Find(node.text) != nullptr) {
      Fail(node.line, absl::StrCat(node.text, " is given twice"));
    } else {
      level.has_key = true;
      level.key = node.text;
    }
  }

  std::vector<Level> levels_;
  Yaml root_;
  std::string error_;
  int error_line_ = 1;
};

absl::Status Error(absl::string_view name, int line, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(name, ":", line, ": ", why));
}

}  // namespace

const Yaml* Yaml::Find(absl::string_view key) const {
  for (const auto& entry : map) {
    if (entry.first == key) return &entry.second;
  }
  return nullptr;
}

absl::StatusOr<Yaml> ReadYaml(absl::string_view text, absl::string_view name) {
  text = base::SkipBom(text);
  // yaml-cpp takes a NUL for the end of the text.
  if (const size_t nul = text.find('\0'); nul != absl::string_view::npos) {
    return Error(name, 1, "not a text file");
  }
  std::istringstream in{std::string(text)};
  Builder builder;
  // yaml-cpp reports errors by throwing; they end here.
  try {
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    if (!builder.error().empty()) return Error(name, builder.error_line(), builder.error());
    Builder second;
    if (parser.HandleNextDocument(second)) {
      return Error(name, second.TakeRoot().line, "a second document is not allowed");
    }
  } catch (const YAML::Exception& e) {
    return Error(name, e.mark.line < 0 ? 1 : e.mark.line + 1,
                 absl::StrCat("not valid YAML: ", e.msg));
  }
  return builder.TakeRoot();
}

}  // namespace orch::policy
