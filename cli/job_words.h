// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/grid.h"
#include "cli/options.h"
#include "cli/render.h"
#include "orch/v1/job_service.pb.h"

// Jobs in words. Pure.

namespace orch::cli {

// `RUNNING`, `PAUSED`, …
std::string JobStateWord(const orch::v1::Job& job);
Color JobStateColor(const orch::v1::Job& job);
// `12 nodes: 10 CHANGED, 2 FAILED`; a Puppet run's verdicts in place of the states that they say
// more about.
std::string JobCountWords(const orch::v1::Job& job);
// Who was meant, as target flags say it.
std::string JobTargetWords(const orch::v1::Job& job);
// How a job was told to go about its nodes; empty: nothing was said.
std::string RolloutWords(const orch::v1::Rollout& rollout);
// From its start to its end, or to now.
std::string JobLength(const orch::v1::Job& job, absl::Time now);
// A row for each job. Ids are as long as they must be to be told apart, where `short_ids`.
Grid JobGrid(const Terminal& terminal,
             const google::protobuf::RepeatedPtrField<orch::v1::Job>& jobs, bool short_ids,
             absl::Time now);
// The lines above a job's nodes.
std::string JobHead(const Terminal& terminal, const orch::v1::Job& job, absl::Time now);

}  // namespace orch::cli
