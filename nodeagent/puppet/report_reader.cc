// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/report_reader.h"

#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace orch::nodeagent {
namespace {

class Walker : public YAML::EventHandler {
 public:
  explicit Walker(YamlVisitor* visitor) : visitor_(visitor) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override { Scalar(""); }
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override { Scalar(""); }
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string& value) override {
    Scalar(value);
  }
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    Enter(false);
  }
  void OnSequenceEnd() override { Leave(); }
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    Enter(true);
  }
  void OnMapEnd() override { Leave(); }

 private:
  struct Frame {
    bool mapping;
    bool key_next;
  };

  void Scalar(const std::string& value) {
    if (!frames_.empty() && frames_.back().key_next) {
      path_.back() = value;
      frames_.back().key_next = false;
      return;
    }
    visitor_->OnValue(path_, value);
    ValueDone();
  }
  void Enter(bool mapping) {
    // A key that is itself a mapping or a sequence has no name.
    if (!frames_.empty() && frames_.back().key_next) path_.back().clear();
    visitor_->OnEnter(path_);
    frames_.push_back({mapping, mapping});
    path_.emplace_back();
  }
  void Leave() {
    frames_.pop_back();
    path_.pop_back();
    visitor_->OnLeave(path_);
    if (!frames_.empty() && frames_.back().key_next) {
      frames_.back().key_next = false;
      return;
    }
    ValueDone();
  }
  void ValueDone() {
    if (frames_.empty()) return;
    frames_.back().key_next = frames_.back().mapping;
    path_.back().clear();
  }

  YamlVisitor* const visitor_;
  std::vector<Frame> frames_;
  YamlVisitor::Path path_;
};

}  // namespace

absl::Status VisitYaml(std::istream& in, YamlVisitor* visitor) {
  Walker walker(visitor);
  try {
    YAML::Parser parser(in);
    if (!parser.HandleNextDocument(walker)) return absl::DataLossError("no document");
  } catch (const YAML::Exception& error) {
    return absl::DataLossError(error.what());
  }
  return absl::OkStatus();
}

}  // namespace orch::nodeagent
