// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// What Abseil 2022 lacks: the two macros that pass errors on, a way to say what was attempted, and
// CHECK.

namespace orch::base {

// `status` with "<context>: " before its message, payloads kept; OK stays OK. Contexts read from
// the outside in: `connect broker1:61614: TLS handshake: certificate expired`.
inline absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status out(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&out](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

[[noreturn]] inline void CheckFailed(const char* file, int line, const char* what) {
  std::cerr << file << ":" << line << ": CHECK failed: " << what << std::endl;
  std::abort();
}

}  // namespace orch::base

// For what can't happen; on in every build.
#define ORCH_CHECK(condition) \
  ((condition) ? (void)0 : ::orch::base::CheckFailed(__FILE__, __LINE__, #condition))

#define ORCH_RETURN_IF_ERROR(expression)                                                     \
  do {                                                                                       \
    if (::absl::Status orch_status_ = (expression); !orch_status_.ok()) return orch_status_; \
  } while (false)

#define ORCH_CONCAT_2_(a, b) a##b
#define ORCH_CONCAT_(a, b) ORCH_CONCAT_2_(a, b)

// ORCH_ASSIGN_OR_RETURN(auto x, F()) declares x, or returns F's status.
#define ORCH_ASSIGN_OR_RETURN(lhs, expression) \
  ORCH_ASSIGN_OR_RETURN_(ORCH_CONCAT_(orch_statusor_, __LINE__), lhs, expression)
#define ORCH_ASSIGN_OR_RETURN_(statusor, lhs, expression)  \
  auto statusor = (expression);                            \
  if (!statusor.ok()) return std::move(statusor).status(); \
  lhs = *std::move(statusor)
