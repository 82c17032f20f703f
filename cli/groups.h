// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/tally.h"
#include "orch/v1/job.pb.h"

// What became of many nodes, on one screen. Pure.

namespace orch::cli {

// On more nodes than this what they did is shown in groups, else node by node.
inline constexpr size_t kBlocksNodesMax = 10;
// Groups that are shown; how many nodes are in the others is said.
inline constexpr size_t kGroupsShownMax = 20;

// Whether the nodes of a job are shown one by one: read-only jobs', few, and where -v, -o wide or
// --sort-by asks for it.
bool NodeByNode(const GlobalOptions& options, const orch::v1::Job& job, size_t nodes);

// How much of changes is shown.
struct ChangeLook {
  size_t width = 0;      // columns of a line; 0: it is not cut
  bool digests = false;  // whole, else their first 8 characters
  bool verbose = false;  // refreshes, whole differences and errors
  bool all = false;      // however many changes there are, skipped ones too
  bool unicode = true;
};
ChangeLook LookFor(const Terminal& terminal, Output output, bool verbose);

// The lines of one change, indented: what it is, and its difference. Lines are cut to the width.
std::vector<std::string> ChangeLines(const Terminal& terminal, const ChangeLook& look,
                                     const orch::v1::ResourceChange& change);
// The lines of a run's changes, refreshes counted, and of what is not among them.
std::vector<std::string> ChangesLines(
    const Terminal& terminal, const ChangeLook& look,
    const google::protobuf::RepeatedPtrField<orch::v1::ResourceChange>& changes, uint32_t omitted);
// The groups, each with its nodes, its cause, its changes; of a job as JobService.SummarizeJob has
// it. `only_failed`: without those that went well.
std::vector<std::string> GroupsLines(const Terminal& terminal, const ChangeLook& look,
                                     const std::vector<orch::v1::JobGroup>& groups,
                                     bool only_failed);
// An error's lines, indented: the cause without what Puppet puts in front of it and behind it, in
// at most 3 lines, then where: `at /site.pp:12, File[/etc/motd]`. `whole`: as Puppet wrote it.
std::vector<std::string> ErrorLines(const Terminal& terminal, const ChangeLook& look,
                                    const orch::v1::PuppetRunError& error, bool whole);
// The same of nodes that are not grouped yet.
std::vector<std::string> GroupsLines(
    const Terminal& terminal, const ChangeLook& look,
    const google::protobuf::RepeatedPtrField<orch::v1::JobNode>& nodes, bool only_failed);
// `text` with its SHA-256, MD5 and other hexadecimal digests of 32 characters or more cut to their
// first 8: `{sha256}5eb63bbb…`.
std::string ShortDigests(const std::string& text, bool unicode);
// What to type next, `orchctl puppet run --last-failed 01M8…`; empty: nothing.
std::string NextCommand(const Tally& tally);

}  // namespace orch::cli
