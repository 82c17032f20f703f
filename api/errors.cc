// SPDX-License-Identifier: Apache-2.0
#include "api/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"

namespace orch::api {
namespace {

template <typename Detail>
std::string UrlOf() {
  return absl::StrCat(kTypeUrlPrefix, Detail::descriptor()->name());
}

template <typename Detail>
void Attach(absl::Status* status, const Detail& detail) {
  status->SetPayload(UrlOf<Detail>(), absl::Cord(detail.SerializeAsString()));
}

}  // namespace

absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view message) {
  absl::Status status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(kErrorDomain);
  Attach(&status, info);
  return status;
}

absl::Status BadField(absl::string_view field, absl::string_view description) {
  absl::Status status = Error(absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT",
                              absl::StrCat(field, ": ", description));
  google::rpc::BadRequest bad;
  auto* violation = bad.add_field_violations();
  violation->set_field(std::string(field));
  violation->set_description(std::string(description));
  Attach(&status, bad);
  return status;
}

absl::Status AllViolations(const std::vector<absl::Status>& checks) {
  google::rpc::BadRequest all;
  std::string message;
  for (const absl::Status& check : checks) {
    if (check.ok()) continue;
    google::rpc::BadRequest one;
    const auto payload = check.GetPayload(absl::StrCat(kTypeUrlPrefix, "BadRequest"));
    if (!payload.has_value() || !one.ParseFromString(std::string(*payload))) return check;
    if (ReasonOf(check) != "INVALID_ARGUMENT") return check;
    if (all.field_violations_size() + one.field_violations_size() > kViolationsMax) break;
    all.MergeFrom(one);
    absl::StrAppend(&message, message.empty() ? "" : "; ", check.message());
  }
  if (all.field_violations().empty()) return absl::OkStatus();
  absl::Status status = Error(absl::StatusCode::kInvalidArgument, "INVALID_ARGUMENT", message);
  Attach(&status, all);
  return status;
}

absl::Status Precondition(absl::string_view reason, absl::string_view type,
                          absl::string_view subject, absl::string_view description) {
  absl::Status status = Error(absl::StatusCode::kFailedPrecondition, reason, description);
  google::rpc::PreconditionFailure failure;
  auto* violation = failure.add_violations();
  violation->set_type(std::string(type));
  violation->set_subject(std::string(subject));
  violation->set_description(std::string(description));
  Attach(&status, failure);
  return status;
}

absl::Status WithRetry(absl::Status status, absl::Duration delay) {
  google::rpc::RetryInfo retry;
  *retry.mutable_retry_delay() = ToProtoDuration(delay);
  Attach(&status, retry);
  return status;
}

absl::Status WithResource(absl::Status status, absl::string_view type, absl::string_view name,
                          absl::string_view description) {
  google::rpc::ResourceInfo resource;
  resource.set_resource_type(std::string(type));
  resource.set_resource_name(std::string(name));
  resource.set_description(std::string(description));
  Attach(&status, resource);
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(UrlOf<google::rpc::ErrorInfo>());
  google::rpc::ErrorInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return "";
  return info.reason();
}

}  // namespace orch::api
