// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/job_service.pb.h"

// Which jobs a caller wants to hear of (orch.v1.JobFilter). Pure.

namespace orch::controller {

// What a list of a filter may have at most, and a text in it.
inline constexpr int kFilterListMax = 100;
inline constexpr size_t kFilterTextMax = 512;

// Whether `name` is one of `names`, or of a group among them, `puppet.*`; empty `names` have all.
bool NamesAction(const google::protobuf::RepeatedPtrField<std::string>& names,
                 absl::string_view name);
// InvalidArgument: an entry is neither an action's name nor a group, or the list is too long.
absl::Status ValidateActionNames(absl::string_view field,
                                 const google::protobuf::RepeatedPtrField<std::string>& names);
// InvalidArgument with the path of the field, which begins with `field`.
absl::Status ValidateJobFilter(absl::string_view field, const orch::v1::JobFilter& filter);
// Whether everything that the filter asks for is true of the job, whose spec is there.
bool Matches(const orch::v1::JobFilter& filter, const orch::v1::Job& job);
// The job's target and the names in it, as text.
std::string PrintedTarget(const orch::v1::JobSpec& spec);
// Whether `text` has `part` in it; ASCII case does not matter.
bool ContainsText(absl::string_view text, absl::string_view part);

}  // namespace orch::controller
