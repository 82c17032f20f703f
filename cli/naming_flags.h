// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/connection.h"
#include "cli/options.h"
#include "cli/target_flags.h"
#include "google/protobuf/duration.pb.h"
#include "orch/v1/job.pb.h"
#include "orch/v1/node_service.pb.h"

// The flags that name nodes by other means than the target language, on every command that asks
// nodes for something (docs/targets.md, "Other ways to name nodes").

namespace orch::cli {

struct NamingFlags {
  std::string last_failed, inventory, pql, limit, limit_seed, discovery_timeout;
  std::vector<std::string> groups;

  // `asks_only`: the command changes nothing; it then also has --discovery-timeout, which says how
  // long nodes may take to answer.
  void AddTo(CLI::App* command, bool asks_only);
  bool empty() const { return last_failed.empty() && groups.empty() && pql.empty(); }
  // Fills in whom the flags and `target`'s --nodes name: reads files, and for --last-failed asks
  // the controller.
  // InvalidArgument names the flag; NotFound: everything that was named has nothing in common.
  absl::Status FillIn(const Session& session, const TargetFlags& target,
                      orch::v1::JobSpec* spec) const;
  absl::Status FillIn(const Session& session, const TargetFlags& target,
                      orch::v1::DiscoverNodesRequest* request) const;

 private:
  absl::StatusOr<std::vector<std::string>> Names(const Session& session,
                                                 const TargetFlags& target) const;
  absl::Status FillInTimeout(const Session& session, google::protobuf::Duration* timeout) const;
};

// Makes every option of the command and of those below it that says who or how fast refuse an empty
// value: a script's variable that was never set must not mean everybody at once.
void RefuseEmptyValues(CLI::App* command);

// The nodes of an ended job that did not succeed, whatever their outcome was. FailedPrecondition:
// the job has not ended. NotFound: all of its nodes succeeded, or it had none.
absl::StatusOr<std::vector<std::string>> LastFailed(Connection& connection, const std::string& job);

}  // namespace orch::cli
