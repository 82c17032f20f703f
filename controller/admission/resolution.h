// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "controller/context/dispatcher_api.h"
#include "controller/job/job_values.h"
#include "controller/roster/roster.h"
#include "target/target.h"

// Whom a job is about, as far as the roster can tell: the target, the names and what may be seen,
// sorted into who is expected to answer, who only may be meant, and who was never heard of. Pure.

namespace orch::controller {

// Names of one job that the roster never heard of and that are asked all the same, each with an
// outcome of its own; further ones are a count, and are sent nothing.
inline constexpr size_t kUnheardNamesMax = 500;

// Who may answer at all.
enum class Audience {
  kMatching,  // whoever the target matches
  kNamed,     // nobody but those who are named
  kNobody,    // names were given or chosen, and none is left
};

struct Resolution {
  Audience audience = Audience::kMatching;
  std::vector<std::string> names;    // kNamed: who may answer; sorted
  Resolved nodes;                    // sorted by what the roster knows of them
  std::vector<JobNodeStart> unable;  // announced that they can't do it, or can't be sent it
  size_t unheard = 0;                // names beyond kUnheardNamesMax, which are left out
  bool roster_known = false;         // who matches is known, as far as that can be
};

// Resolves the job's target and names. With `job.listing`, nobody is left in it who would be named
// though the caller may not see it: who is asked for by name and hidden is waited for like one that
// does not exist.
Resolution Resolve(const AdmittedJob& job, const target::Target& target, Roster* roster,
                   base::Now now);

// Of a read-only job: a limit, the caller's or the policy's, counts who answers, so they are named.
bool IsLimited(const AdmittedJob& job);
// Whether nodes must say whether they would before it is known who is chosen.
bool NeedsDiscovery(const AdmittedJob& job, bool mutating, const Resolution& whom);

// Moves those that announced that they can't do the action from `nodes` to `ended`.
void SplitUnable(const Roster& roster, const orch::v1::Action& action,
                 std::vector<std::string>* nodes, std::vector<JobNodeStart>* ended);
// Moves those that the policy's conditions deny, as far as the roster can tell, likewise.
void SplitDenied(const Roster& roster, const policy::Decision& decision, base::Now now,
                 std::vector<std::string>* nodes, std::vector<JobNodeStart>* ended);
// What is told of nodes that match and are not asked, at most kNotAskedMax of them.
google::protobuf::RepeatedPtrField<orch::v1::NotAskedNode> NotAsked(
    const Roster& roster, const std::vector<std::string>& absent);
// A node that is sent nothing because it did not answer.
JobNodeStart SilentNode(const Roster& roster, const std::string& node, const std::string& message);

}  // namespace orch::controller
