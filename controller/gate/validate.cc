// SPDX-License-Identifier: Apache-2.0

// What a request says is checked here once and completely, before rights are asked for and long
// before a node sees it: a node refuses what it does not know, and ten thousand refusals are a poor
// way to learn of a typing error. Fields that this build does not know are refused as well: proto3
// would drop them silently, and a limit that a newer client set must not vanish. The spec is made
// canonical on the way (collective, order of names), so that audit and idempotency compare what is
// meant.

#include "controller/gate/validate.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "api/quantity.h"
#include "base/ids.h"
#include "base/status.h"
#include "base/text.h"
#include "controller/job/rollout.h"
#include "controller/puppetdb/pql.h"
#include "target/target.h"

namespace orch::controller {
namespace {

// What people see of a text that is wrong: escaped and short.
std::string Shown(absl::string_view text) {
  constexpr size_t kShownMax = 100;
  return absl::StrCat("`", absl::Utf8SafeCEscape(base::CutUtf8(text, kShownMax)), "`");
}

// Nothing in it is unknown here. What the API has set aside, and is not built yet, keeps a reason
// of its own.
absl::Status Known(absl::string_view field, const google::protobuf::Message& message) {
  const absl::Status known = api::RefuseUnknown(message);
  if (known.ok() || !api::ReasonOf(known).empty()) return known;
  return api::BadField(field, known.message());
}

// An error of the target language names the kind of clause first: `select: column 14: …`.
absl::Status TargetError(absl::string_view field, absl::string_view message) {
  const size_t colon = message.find(": ");
  if (colon != absl::string_view::npos) {
    const absl::string_view kind = message.substr(0, colon);
    // `facts[1]` of several.
    const auto* known = orch::v1::Target::descriptor()->FindFieldByName(
        std::string(kind.substr(0, kind.find('['))));
    if (known != nullptr) {
      return api::BadField(absl::StrCat(field, ".", kind), message.substr(colon + 2));
    }
  }
  return api::BadField(field, message);
}

// The numbers must make sense whatever the count of nodes; what a percentage comes to is the
// dispatcher's.
constexpr uint32_t kAnyCount = 100;

absl::Status ValidateText(absl::string_view field, absl::string_view text, size_t bytes_max) {
  if (text.size() > bytes_max) {
    return api::BadField(field, absl::StrCat("longer than ", bytes_max, " bytes"));
  }
  if (std::any_of(text.begin(), text.end(), absl::ascii_iscntrl)) {
    return api::BadField(field, "has control characters");
  }
  return absl::OkStatus();
}

bool IsLabelKey(absl::string_view key) {
  constexpr size_t kKeyMax = 63;
  const auto begins = [](unsigned char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c);
  };
  return !key.empty() && key.size() <= kKeyMax && begins(key[0]) &&
         std::all_of(key.begin(), key.end(), [&begins](unsigned char c) {
           return begins(c) || absl::StrContains("._/-", static_cast<char>(c));
         });
}

absl::Status ValidateLabels(const google::protobuf::Map<std::string, std::string>& labels) {
  constexpr absl::string_view kField = "spec.labels";
  if (labels.size() > kLabelsMax) {
    return api::BadField(kField, absl::StrCat("more than ", kLabelsMax));
  }
  for (const auto& [key, value] : labels) {
    if (!IsLabelKey(key)) {
      return api::BadField(kField, absl::StrCat(Shown(key), " is not [a-z0-9][a-z0-9._/-]{0,62}"));
    }
    ORCH_RETURN_IF_ERROR(ValidateText(absl::StrCat(kField, "[", key, "]"), value, kLabelBytesMax));
  }
  return absl::OkStatus();
}

absl::Status ValidateRollout(const orch::v1::Rollout& rollout) {
  if (rollout.has_limit()) {
    ORCH_RETURN_IF_ERROR(ValidateLimit("spec.rollout.limit", rollout.limit()));
  }
  ORCH_RETURN_IF_ERROR(ValidateLimitSeed("spec.rollout.limit_seed", rollout.limit_seed()));
  if (rollout.at_once_case() == orch::v1::Rollout::kConcurrency && rollout.concurrency() == 0) {
    return api::BadField("spec.rollout.concurrency", "must be above 0");
  }
  if (rollout.at_once_case() == orch::v1::Rollout::kUnlimited && !rollout.unlimited()) {
    return api::BadField("spec.rollout.unlimited", "can only be true");
  }
  ORCH_RETURN_IF_ERROR(ValidateTimeout("spec.rollout.canary_wait", rollout.canary_wait()));
  ORCH_RETURN_IF_ERROR(ValidateTimeout("spec.rollout.batch_sleep", rollout.batch_sleep()));
  return PlanRollout(rollout, kAnyCount, 1).status();
}

}  // namespace

absl::Status ValidateNodes(absl::string_view field,
                           google::protobuf::RepeatedPtrField<std::string>* nodes) {
  if (nodes->size() > kSpecNodesMax) {
    return api::BadField(field, absl::StrCat("more than ", kSpecNodesMax, " names"));
  }
  for (int i = 0; i < nodes->size(); ++i) {
    const std::string& node = nodes->Get(i);
    if (base::IsIdentity(node)) continue;
    return api::BadField(absl::StrCat(field, "[", i, "]"),
                         absl::StrCat(Shown(node), " is not a node's name, [a-z0-9._-]{1,253}"));
  }
  std::sort(nodes->begin(), nodes->end());
  nodes->erase(std::unique(nodes->begin(), nodes->end()), nodes->end());
  return absl::OkStatus();
}

absl::Status ValidateLimit(absl::string_view field, const orch::v1::Quantity& limit) {
  return api::ResolveQuantity(limit, kAnyCount, field).status();
}

absl::Status ValidateLimitSeed(absl::string_view field, absl::string_view seed) {
  constexpr size_t kSeedMax = 128;
  if (seed.size() <= kSeedMax) return absl::OkStatus();
  return api::BadField(field, absl::StrCat("longer than ", kSeedMax));
}

absl::Status ValidateTimeout(absl::string_view field, const google::protobuf::Duration& timeout) {
  if (timeout.seconds() < 0 || timeout.nanos() < 0) {
    return api::BadField(field, "must not be negative");
  }
  if (timeout.nanos() > 999'999'999 || timeout.seconds() > kTimeoutMaxSeconds) {
    return api::BadField(field, absl::StrCat("is above ", kTimeoutMaxSeconds / 3600, " h"));
  }
  return absl::OkStatus();
}

absl::Status ValidateReason(absl::string_view field, absl::string_view reason) {
  return ValidateText(field, reason, kReasonMax);
}

absl::Status ValidateIdempotencyKey(absl::string_view key) {
  const bool fits =
      key.size() <= kIdempotencyKeyMax && std::all_of(key.begin(), key.end(), [](unsigned char c) {
        return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-';
      });
  if (fits) return absl::OkStatus();
  return api::BadField("idempotency_key",
                       absl::StrCat(Shown(key), " is not [A-Za-z0-9._-]{1,128}"));
}

absl::Status ValidateActionName(absl::string_view field, absl::string_view name) {
  constexpr size_t kNameMax = 129;
  const auto word = [](absl::string_view part) {
    return !part.empty() && absl::ascii_islower(part[0]) &&
           std::all_of(part.begin(), part.end(), [](unsigned char c) {
             return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
           });
  };
  const size_t dot = name.find('.');
  if (dot != absl::string_view::npos && name.size() <= kNameMax && word(name.substr(0, dot)) &&
      word(name.substr(dot + 1))) {
    return absl::OkStatus();
  }
  return api::BadField(field, absl::StrCat(Shown(name), " is not <group>.<verb>"));
}

absl::Status ValidateKnown(const google::protobuf::Message& request) {
  return Known(request.GetDescriptor()->name(), request);
}

absl::Status ValidateTarget(const std::vector<std::string>& collectives, absl::string_view field,
                            orch::v1::Target* target, std::string* printed,
                            std::shared_ptr<const target::Target>* compiled) {
  if (target->ByteSizeLong() > kTargetBytesMax) {
    return api::BadField(field, absl::StrCat("larger than ", kTargetBytesMax, " bytes"));
  }
  ORCH_RETURN_IF_ERROR(Known(field, *target));
  if (target->collective().empty()) target->set_collective("main");
  if (std::find(collectives.begin(), collectives.end(), target->collective()) ==
      collectives.end()) {
    return api::BadField(
        absl::StrCat(field, ".collective"),
        absl::StrCat(Shown(target->collective()), " is not served here; this controller serves ",
                     absl::StrJoin(collectives, ", ")));
  }
  absl::StatusOr<target::Target> parsed = target::Target::Compile(*target);
  if (!parsed.ok()) return TargetError(field, parsed.status().message());
  *printed = parsed->Print();
  if (compiled != nullptr) *compiled = std::make_shared<const target::Target>(*std::move(parsed));
  return absl::OkStatus();
}

absl::Status ValidateSpec(const std::vector<std::string>& collectives, orch::v1::JobSpec* spec,
                          std::string* printed, std::shared_ptr<const target::Target>* compiled) {
  ORCH_RETURN_IF_ERROR(Known("spec", *spec));
  std::vector<absl::Status> checks;
  if (spec->action().kind_case() == orch::v1::Action::KIND_NOT_SET) {
    checks.push_back(api::BadField("spec.action", "is missing"));
  } else {
    checks.push_back(api::Validate(spec->action(), "spec.action"));
  }
  checks.push_back(
      ValidateTarget(collectives, "spec.target", spec->mutable_target(), printed, compiled));
  checks.push_back(ValidateNodes("spec.nodes", spec->mutable_nodes()));
  if (!spec->pql().empty()) checks.push_back(ValidatePql("spec.pql", spec->pql()));
  checks.push_back(ValidateRollout(spec->rollout()));
  checks.push_back(ValidateTimeout("spec.timeout", spec->timeout()));
  if (spec->at_most_nodes() > 0 && spec->expect_nodes() > spec->at_most_nodes()) {
    checks.push_back(api::BadField("spec.expect_nodes", "is above at_most_nodes"));
  }
  checks.push_back(ValidateLabels(spec->labels()));
  checks.push_back(ValidateText("spec.on_behalf_of", spec->on_behalf_of(), kOnBehalfOfBytesMax));
  checks.push_back(ValidateReason("spec.reason", spec->reason()));
  return api::AllViolations(checks);
}

absl::Status ValidateDiscovery(const std::vector<std::string>& collectives,
                               orch::v1::DiscoverNodesRequest* request) {
  std::string printed;
  ORCH_RETURN_IF_ERROR(ValidateTimeout("timeout", request->timeout()));
  ORCH_RETURN_IF_ERROR(ValidateTarget(collectives, "target", request->mutable_target(), &printed));
  ORCH_RETURN_IF_ERROR(ValidateNodes("nodes", request->mutable_nodes()));
  if (request->has_limit()) {
    ORCH_RETURN_IF_ERROR(ValidateLimit("limit", request->limit()));
  }
  ORCH_RETURN_IF_ERROR(ValidateLimitSeed("limit_seed", request->limit_seed()));
  return request->pql().empty() ? absl::OkStatus() : ValidatePql("pql", request->pql());
}

absl::StatusOr<int> PageSize(int asked, int otherwise, int max) {
  if (asked < 0) return api::BadField("page_size", "must not be negative");
  return asked == 0 ? otherwise : std::min(asked, max);
}

}  // namespace orch::controller
