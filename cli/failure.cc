// SPDX-License-Identifier: Apache-2.0
#include "cli/failure.h"

#include <optional>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "cli/confirm.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

// Fields of the API as the flags that set them: people typed flags.
constexpr std::pair<absl::string_view, absl::string_view> kFlags[] = {
    {"spec.rollout.batch_size", "--batch"},
    {"spec.rollout.batch_sleep", "--batch-sleep"},
    {"spec.rollout.limit_seed", "--limit-seed"},
    {"spec.rollout.limit", "--limit"},
    {"spec.rollout.canary_wait", "--canary-wait"},
    {"spec.rollout.canary", "--canary"},
    {"spec.rollout.concurrency", "--concurrency"},
    {"spec.rollout.max_failures", "--max-failures"},
    {"spec.rollout", "the rollout flags"},
    {"spec.target.facts", "-F"},
    {"spec.target.classes", "-C"},
    {"spec.target.actions", "-A"},
    {"spec.target.identities", "-I"},
    {"spec.target.select", "-S"},
    {"spec.target.collective", "-T"},
    {"spec.expect_nodes", "--expect-nodes"},
    {"spec.at_most_nodes", "--at-most"},
    {"spec.timeout", "--timeout"},
    {"spec.reason", "--reason"},
    {"spec.nodes", "--nodes"},
    {"spec.pql", "--pql"},
    {"target.collective", "-T"},
    {"target.facts", "-F"},
    {"target.classes", "-C"},
    {"target.actions", "-A"},
    {"target.identities", "-I"},
    {"target.select", "-S"},
    {"nodes[", "--nodes["},
    {"nodes: ", "--nodes: "},
    {"pql: ", "--pql: "},
    {"limit: ", "--limit: "},
    {"limit_seed: ", "--limit-seed: "},
    {"idempotency_key", "--idempotency-key"},
    {"facts: ", "-F: "},
    {"classes: ", "-C: "},
    {"actions: ", "-A: "},
    {"identities: ", "-I: "},
    {"select: ", "-S: "}};

std::string WithFlags(absl::string_view message) {
  for (const auto& [field, flag] : kFlags) {
    if (absl::StartsWith(message, field)) return absl::StrCat(flag, message.substr(field.size()));
  }
  return std::string(message);
}

}  // namespace

ExitCode ExitOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      // A job or node that is not there; a file that is not there is a matter of usage.
      return api::ReasonOf(status).empty() ? kExitUsage : kExitNothing;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnreachable;
    case absl::StatusCode::kPermissionDenied:
      // Without a reason it is a local file that may not be read, unless the handshake was refused.
      return api::ReasonOf(status).empty() && !absl::StartsWith(status.message(), "connect ")
                 ? kExitUsage
                 : kExitDenied;
    case absl::StatusCode::kUnauthenticated:
      return kExitDenied;
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
      return kExitStopped;
    default:
      return kExitInternal;
  }
}

int Fail(const Session& session, const absl::Status& status) {
  std::ostream& err = session.terminal.err;
  const ExitCode code = ExitOf(status);
  const std::string reason = api::ReasonOf(status);
  const std::string lead = code == kExitDenied ? "not permitted: " : "";
  err << Paint(session.terminal, Color::kRed, "orchctl: ") << lead
      << Safe(WithFlags(status.message())) << "\n";
  if (reason == "CONFIRMATION_REQUIRED") {
    const std::optional<uint32_t> count = CountToConfirm(status);
    err << "to confirm that they are meant: --expect-nodes "
        << (count.has_value() ? absl::StrCat(*count) : "N")
        << ", or --at-most N; --dry-run names them\n";
  } else if (!reason.empty() && reason != "INVALID_ARGUMENT") {
    err << "(" << reason << "; `orchctl explain error " << reason << "` says more)\n";
  }
  if (code == kExitUnreachable && absl::StartsWith(status.message(), "connect ")) {
    err << "`orchctl doctor` checks each step of the way\n";
  }
  if (session.options.verbose) err << status.ToString() << "\n";
  err.flush();
  return code;
}

}  // namespace orch::cli
