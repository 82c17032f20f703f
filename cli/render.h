// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <google/protobuf/message.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "cli/options.h"
#include "cli/tally.h"
#include "cli/text.h"
#include "orch/v1/node.pb.h"

// How jobs, nodes and messages look. Pure: functions return text and print nothing.

namespace orch::cli {

enum class Color { kNone, kGreen, kYellow, kRed, kDim, kBold };
// `text` in colour where `terminal` has it.
std::string Paint(const Terminal& terminal, Color color, const std::string& text);

// `4.2 s`, `2m10s`, `3 h`, `5 d`: for people.
std::string Age(absl::Duration duration);
std::string When(const google::protobuf::Timestamp& time);

// The state in words: `CHANGED`, `UNCHANGED`, `REFUSED`, …; a Puppet run's verdict where there is
// one.
std::string OutcomeWord(const orch::v1::JobNode& node);
Color OutcomeColor(const orch::v1::JobNode& node);
// A node's outcome in one line, and the lines below it: changed resources, and for failures the
// errors. `wide` shows more of them.
std::string NodeLine(const Terminal& terminal, const orch::v1::JobNode& node);
std::vector<std::string> NodeDetails(const orch::v1::JobNode& node, bool wide);
// What --sort-by may name where a job's nodes are shown.
const std::vector<std::string>& NodeSortKeys();
// Sorts as --sort-by says; unknown keys change nothing.
void SortNodes(const std::string& sort_by,
               google::protobuf::RepeatedPtrField<orch::v1::JobNode>* nodes);
// `[#####-----] 412/1284 ok 398 changed 12 failed 2 · p50 21 s · ETA 2m10s`
std::string ProgressLine(const Tally& tally, absl::Duration elapsed, int width);
// The last lines on stderr: counts, identical failures grouped.
std::vector<std::string> Summary(const Terminal& terminal, const Tally& tally,
                                 absl::Duration elapsed);

// Columns padded to their widest cell; the first row is the header.
std::string Table(const std::vector<std::vector<std::string>>& rows, bool headers);
// Thrown where something came that can't be printed; main says so and exits with 70.
struct Unprintable : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// `json`, `jsonl` (one line) or `yaml` of an API message. Throws Unprintable.
std::string Serialized(const google::protobuf::Message& message, Output output);

}  // namespace orch::cli
