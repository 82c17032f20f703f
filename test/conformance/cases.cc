// SPDX-License-Identifier: Apache-2.0
#include "test/conformance/cases.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "orch/v1/target.pb.h"
#include "policy/action_policy.h"
#include "policy/policy.h"
#include "target/target.h"

namespace orch::conformance {
namespace {

using nlohmann::json;

absl::Status Malformed(absl::string_view key, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", key, "\": expected ", what));
}

// An absent list is an empty one.
absl::StatusOr<std::vector<std::string>> Strings(const json& object, const char* key) {
  std::vector<std::string> out;
  const auto found = object.find(key);
  if (found == object.end()) return out;
  if (!found->is_array()) return Malformed(key, "a list of texts");
  for (const json& element : *found) {
    if (!element.is_string()) return Malformed(key, "a list of texts");
    out.push_back(element.get<std::string>());
  }
  return out;
}

absl::StatusOr<std::string> Text(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return Malformed(key, "a text");
  return found->get<std::string>();
}

absl::StatusOr<target::NodeData> Node(const json& test_case) {
  const auto node = test_case.find("node");
  if (node == test_case.end() || !node->is_object()) return Malformed("node", "an object");
  target::NodeData out;
  if (const auto facts = node->find("facts"); facts != node->end()) {
    if (!facts->is_object()) return Malformed("facts", "an object");
    out.facts_value = *facts;
  }
  ORCH_ASSIGN_OR_RETURN(out.classes_value, Strings(*node, "classes"));
  ORCH_ASSIGN_OR_RETURN(out.actions_value, Strings(*node, "actions"));
  std::sort(out.classes_value.begin(), out.classes_value.end());
  std::sort(out.actions_value.begin(), out.actions_value.end());
  if (node->contains("identity")) {
    ORCH_ASSIGN_OR_RETURN(out.identity_value, Text(*node, "identity"));
  }
  return out;
}

absl::StatusOr<orch::v1::Target> TargetOf(const json& test_case) {
  const auto target = test_case.find("target");
  if (target == test_case.end() || !target->is_object()) return Malformed("target", "an object");
  orch::v1::Target out;
  const std::pair<const char*, google::protobuf::RepeatedPtrField<std::string>*> lists[] = {
      {"facts", out.mutable_facts()},     {"classes", out.mutable_classes()},
      {"actions", out.mutable_actions()}, {"identities", out.mutable_identities()},
      {"select", out.mutable_select()},
  };
  for (const auto& [key, field] : lists) {
    ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> texts, Strings(*target, key));
    field->Add(texts.begin(), texts.end());
  }
  return out;
}

}  // namespace

absl::StatusOr<std::string> TargetVerdict(const json& test_case) {
  ORCH_ASSIGN_OR_RETURN(const target::NodeData node, Node(test_case));
  ORCH_ASSIGN_OR_RETURN(const orch::v1::Target proto, TargetOf(test_case));
  const absl::StatusOr<target::Target> compiled = target::Target::Compile(proto);
  if (!compiled.ok()) return "invalid";
  return compiled->Evaluate(node).truth == target::Truth::kTrue ? "true" : "false";
}

absl::StatusOr<std::string> PolicyVerdict(const json& test_case) {
  ORCH_ASSIGN_OR_RETURN(const target::NodeData node, Node(test_case));
  ORCH_ASSIGN_OR_RETURN(const std::string text, Text(test_case, "policy"));
  std::string groups;
  if (test_case.contains("groups")) {
    ORCH_ASSIGN_OR_RETURN(groups, Text(test_case, "groups"));
  }
  policy::Query query;
  ORCH_ASSIGN_OR_RETURN(query.caller, Text(test_case, "caller"));
  ORCH_ASSIGN_OR_RETURN(const std::string action, Text(test_case, "action"));
  query.action = absl::StrCat("case.", action);
  const auto policy = policy::ParseActionPolicy({{"case.policy", text}, {"groups", groups}},
                                                policy::ActionNames::kAsWritten);
  if (!policy.ok()) return "invalid";
  const policy::Decision decision = (*policy)->Decide(query);
  const policy::NodeDecision on_node =
      policy::DecideOnNode(decision.conditions, decision.otherwise, node);
  return on_node.effect == policy::Effect::kAllow ? "allow" : "deny";
}

}  // namespace orch::conformance
