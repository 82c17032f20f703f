// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace orch::target {

// Truth with a third value. kUnknown: the node can't answer the question, or, on the controller,
// only the node itself could.
enum class Truth { kFalse, kTrue, kUnknown };

// A call in an expression: `puppet().enabled`, `resource('File[/srv]').managed`,
// `fstat('/etc/motd').size`.
struct Call {
  std::string name;      // "puppet"
  std::string argument;  // without its quotes; empty for ()
  std::string field;     // may be empty
};

// What an expression is evaluated against: on a node its live metadata, on the controller what the
// roster knows. Owned by whoever fills it; must not change during an evaluation. Pure.
class NodeView {
 public:
  virtual ~NodeView() = default;
  virtual absl::string_view identity() const = 0;
  // The node's facts, a JSON object. Null: they are not known (on the controller, or on a node that
  // has just started); every comparison is kUnknown then.
  virtual const nlohmann::json* facts() const = 0;
  // The node's classes, sorted. Null: they are not known.
  virtual const std::vector<std::string>* classes() const = 0;
  // The full names of the node's actions, such as `puppet.run`, sorted. Null: they are not known.
  virtual const std::vector<std::string>* actions() const = 0;
  // Sorted.
  virtual const std::vector<std::string>& collectives() const = 0;
  // The value of a call that is not answered from the above (`fact()`, `class()`, `action()` and
  // `collective()` are): `puppet`, `resource`, `fstat`. An error means that this node can't answer
  // it; the text says why. Unavailable means that only the node itself could: kUnknown.
  virtual absl::StatusOr<nlohmann::json> Answer(const Call& call) const = 0;
};

// A NodeView over plain values, for tests, `orchctl target test` and the roster.
struct NodeData : public NodeView {
  std::string identity_value;
  nlohmann::json facts_value = nlohmann::json::object();
  std::vector<std::string> classes_value;
  std::vector<std::string> actions_value;
  std::vector<std::string> collectives_value = {"main"};
  bool facts_known = true;

  absl::string_view identity() const override { return identity_value; }
  const nlohmann::json* facts() const override { return facts_known ? &facts_value : nullptr; }
  const std::vector<std::string>* classes() const override {
    return facts_known ? &classes_value : nullptr;
  }
  const std::vector<std::string>* actions() const override { return &actions_value; }
  const std::vector<std::string>& collectives() const override { return collectives_value; }
  // Unavailable, or NotFound for what no node could answer.
  absl::StatusOr<nlohmann::json> Answer(const Call& call) const override;
};

}  // namespace orch::target
