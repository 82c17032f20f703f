// SPDX-License-Identifier: Apache-2.0
#include "cli/job_ids.h"

#include <algorithm>
#include <iostream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/ids.h"
#include "base/status.h"

namespace orch::cli {
namespace {

constexpr size_t kPrefixMin = 4;
constexpr size_t kUlidSize = 26;
// How many jobs an ambiguous prefix names.
constexpr size_t kShownMax = 10;

absl::Status NoJob(absl::string_view text) {
  return api::Error(absl::StatusCode::kNotFound, "JOB_NOT_FOUND", text);
}

absl::StatusOr<std::string> LastJob(Connection& connection) {
  ORCH_ASSIGN_OR_RETURN(const orch::v1::WhoAmIResponse who,
                        connection.Call(orch::v1::WhoAmIRequest()));
  orch::v1::ListJobsRequest request;
  request.set_caller(who.caller());
  request.set_page_size(1);
  // What only looks, as a ping does, is nobody's last job, unless there is no other.
  request.mutable_filter()->set_mutating(true);
  ORCH_ASSIGN_OR_RETURN(orch::v1::ListJobsResponse response, connection.Call(request));
  if (response.jobs().empty()) {
    request.clear_filter();
    ORCH_ASSIGN_OR_RETURN(response, connection.Call(request));
  }
  if (response.jobs().empty()) return NoJob(absl::StrCat("last: ", who.caller(), " has no job"));
  return response.jobs(0).name();
}

absl::StatusOr<std::string> JobThatBegins(Connection& connection, const std::string& prefix) {
  std::vector<std::string> found;
  orch::v1::ListJobsRequest request;
  request.set_page_size(1000);
  bool passed = false;  // jobs come newest first, which is in descending order of their ids
  do {
    ORCH_ASSIGN_OR_RETURN(const orch::v1::ListJobsResponse page, connection.Call(request));
    for (const orch::v1::Job& job : page.jobs()) {
      const absl::string_view id = api::JobIdOf(job.name());
      if (absl::StartsWith(id, prefix)) found.push_back(job.name());
      passed = id < prefix;
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty() && !passed && found.size() <= kShownMax);
  if (found.empty()) return NoJob(absl::StrCat("no job begins with ", prefix));
  if (found.size() == 1) return found[0];
  const bool more = found.size() > kShownMax;
  if (more) found.resize(kShownMax);
  return absl::InvalidArgumentError(absl::StrCat("several jobs begin with ", prefix, ": ",
                                                 absl::StrJoin(found, ", "), more ? ", …" : ""));
}

}  // namespace

absl::StatusOr<std::string> ResolveJob(Connection& connection, absl::string_view given) {
  std::string line;
  if (given == "-") {
    if (!std::getline(std::cin, line)) {
      return absl::InvalidArgumentError("-: standard input names no job");
    }
    given = absl::StripAsciiWhitespace(line);
  }
  if (given == "last") return LastJob(connection);
  const std::string id = absl::AsciiStrToUpper(api::JobIdOf(given));
  if (base::IsUlid(id)) return api::JobName(id);
  if (id.size() < kPrefixMin || id.size() >= kUlidSize ||
      id.find_first_not_of("0123456789ABCDEFGHJKMNPQRSTVWXYZ") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`", absl::Utf8SafeCEscape(given.substr(0, 100)),
        "` is no job: expected jobs/ULID, its first 4 or more characters, last, or -"));
  }
  return JobThatBegins(connection, id);
}

}  // namespace orch::cli
