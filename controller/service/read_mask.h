// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/util/field_mask_util.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"

// Which fields of a message a caller wants (AIP-157). Pure.

namespace orch::controller {

// InvalidArgument with the path: T has no such field.
template <typename T>
absl::Status ValidateReadMask(const google::protobuf::FieldMask& mask) {
  for (int i = 0; i < mask.paths_size(); ++i) {
    if (google::protobuf::util::FieldMaskUtil::IsValidPath<T>(mask.paths(i))) continue;
    return api::BadField(absl::StrCat("read_mask.paths[", i, "]"),
                         absl::StrCat(T::descriptor()->name(), " has no field of this path"));
  }
  return absl::OkStatus();
}

// Leaves only the fields of the mask; an empty mask leaves all.
template <typename T>
void TrimTo(const google::protobuf::FieldMask& mask, T* message) {
  if (mask.paths_size() > 0) google::protobuf::util::FieldMaskUtil::TrimMessage(mask, message);
}

}  // namespace orch::controller
