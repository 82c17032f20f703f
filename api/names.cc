// SPDX-License-Identifier: Apache-2.0
#include "api/names.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/errors.h"
#include "base/ids.h"
#include "base/text.h"

namespace orch::api {
namespace {

constexpr absl::string_view kJobs = "jobs/";
constexpr absl::string_view kNodes = "nodes/";
// How much of what is no name an error repeats.
constexpr size_t kNameShownMax = 100;

absl::Status NoName(absl::string_view field, absl::string_view name, absl::string_view form) {
  return BadField(field,
                  absl::StrCat("`", absl::Utf8SafeCEscape(base::CutUtf8(name, kNameShownMax)),
                               "` is not ", form));
}

}  // namespace

std::string JobName(absl::string_view id) { return absl::StrCat(kJobs, id); }

std::string NodeName(absl::string_view identity) { return absl::StrCat(kNodes, identity); }

std::string JobNodeName(absl::string_view job_id, absl::string_view identity) {
  return absl::StrCat(kJobs, job_id, "/", kNodes, identity);
}

absl::string_view JobIdOf(absl::string_view name) { return absl::StripPrefix(name, kJobs); }

absl::string_view IdentityOf(absl::string_view name) { return absl::StripPrefix(name, kNodes); }

absl::StatusOr<std::string> ParseJobName(absl::string_view field, absl::string_view name) {
  absl::string_view id = name;
  if (absl::ConsumePrefix(&id, kJobs) && base::IsUlid(id)) return std::string(id);
  return NoName(field, name, "jobs/<ULID>");
}

absl::StatusOr<std::string> ParseNodeName(absl::string_view field, absl::string_view name) {
  absl::string_view identity = name;
  if (absl::ConsumePrefix(&identity, kNodes) && base::IsIdentity(identity)) {
    return std::string(identity);
  }
  return NoName(field, name, "nodes/<identity>");
}

absl::StatusOr<JobNodeId> ParseJobNodeName(absl::string_view field, absl::string_view name) {
  absl::string_view rest = name;
  const size_t slash = name.find('/', kJobs.size());
  if (absl::ConsumePrefix(&rest, kJobs) && slash != absl::string_view::npos) {
    const absl::string_view id = name.substr(kJobs.size(), slash - kJobs.size());
    rest = name.substr(slash + 1);
    if (base::IsUlid(id) && absl::ConsumePrefix(&rest, kNodes) && base::IsIdentity(rest)) {
      return JobNodeId{std::string(id), std::string(rest)};
    }
  }
  return NoName(field, name, "jobs/<ULID>/nodes/<identity>");
}

}  // namespace orch::api
