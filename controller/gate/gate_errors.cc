// SPDX-License-Identifier: Apache-2.0
#include "controller/gate/gate_errors.h"

#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/ids.h"
#include "base/status.h"
#include "controller/gate/validate.h"

namespace orch::controller {
namespace {

// When what was refused for want of room or disk may be tried again.
constexpr absl::Duration kRetryDelay = absl::Seconds(5);

}  // namespace

absl::Status Unauthenticated(absl::string_view why) {
  return api::Error(absl::StatusCode::kUnauthenticated, "UNAUTHENTICATED", why);
}

std::string DependsOnNodes(const std::string& right, const policy::Decision& decision) {
  return absl::StrCat("the rule ", decision.conditions.front().rule,
                      " depends on a node, so it can't allow ", right, ", which is about none");
}

absl::Status PolicyDenied(const std::string& principal, const std::string& right,
                          const policy::Decision& decision) {
  std::string why = decision.reason;
  if (why.empty()) why = absl::StrCat("no rule allows ", principal, " to do ", right);
  if (!decision.conditions.empty()) why = DependsOnNodes(right, decision);
  const std::string& rule =
      decision.conditions.empty() ? decision.rule : decision.conditions.front().rule;
  absl::Status status = api::Error(absl::StatusCode::kPermissionDenied, "POLICY_DENIED",
                                   rule.empty() ? why : absl::StrCat(why, " (", rule, ")"));
  google::rpc::ErrorInfo info;
  info.set_reason("POLICY_DENIED");
  info.set_domain(api::kErrorDomain);
  (*info.mutable_metadata())["caller"] = principal;
  (*info.mutable_metadata())["right"] = right;
  (*info.mutable_metadata())["rule"] = rule;
  status.SetPayload(absl::StrCat(api::kTypeUrlPrefix, "ErrorInfo"),
                    absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status AuditUnavailable(const absl::Status& why) {
  return api::WithRetry(
      api::Error(absl::StatusCode::kUnavailable, "AUDIT_UNAVAILABLE",
                 absl::StrCat("refused, because it can't be audited: ", why.message())),
      kRetryDelay);
}

absl::Status TooManyWatchers(uint32_t max, bool by_caller) {
  return api::WithRetry(
      api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_WATCHERS",
                 absl::StrCat(by_caller ? "this caller watches " : "callers watch ", max,
                              " streams already")),
      kRetryDelay);
}

absl::Status NoPuppetDb() {
  return api::Precondition("NO_PUPPETDB", "CONFIGURATION", "puppetdb",
                           "the controller's configuration names no PuppetDB (`puppetdb.url`)");
}

absl::Status NoSuchNode(const std::string& identity) {
  const std::string name = api::NodeName(identity);
  return api::WithResource(
      api::Error(absl::StatusCode::kNotFound, "NODE_NOT_FOUND", absl::StrCat("there is no ", name)),
      "orch.v1.Node", name, "the roster does not know it");
}

absl::StatusOr<Explained> CheckQuestion(const std::vector<std::string>& collectives,
                                        orch::v1::ExplainPolicyRequest* question) {
  if (!question->caller().empty() && !base::IsCaller(question->caller())) {
    return api::BadField("caller", "is not a principal such as cert=operator");
  }
  ORCH_RETURN_IF_ERROR(ValidateActionName("action", question->action()));
  if (question->has_arguments()) {
    if (api::NameOf(question->arguments()) != question->action()) {
      return api::BadField("arguments", absl::StrCat("are not those of ", question->action()));
    }
    ORCH_RETURN_IF_ERROR(api::Validate(question->arguments(), "arguments"));
  } else if (api::FindAction(question->action()) != nullptr) {
    // An action that can't do without arguments is asked about without any.
    absl::StatusOr<orch::v1::Action> plain = api::Parse(question->action(), {});
    if (plain.ok()) *question->mutable_arguments() = *std::move(plain);
  }
  Explained out;
  out.target = question->target();
  std::string printed;
  ORCH_RETURN_IF_ERROR(ValidateTarget(collectives, "target", &out.target, &printed));
  return out;
}

}  // namespace orch::controller
