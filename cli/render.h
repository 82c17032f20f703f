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

struct ChangeLook;

enum class Color { kNone, kGreen, kYellow, kRed, kDim, kBold };
// `text` in colour where `terminal` has it.
std::string Paint(const Terminal& terminal, Color color, const std::string& text);

// `4.2 s`, `2m10s`, `3 h`, `5 d`: for people.
std::string Age(absl::Duration duration);
// `2026-03-01 02:00:00 +01:00`, in the local time zone.
std::string When(const google::protobuf::Timestamp& time);

// The state in words: `CHANGED`, `UNCHANGED`, `REFUSED`, …; a Puppet run's verdict where there is
// one.
std::string OutcomeWord(const orch::v1::JobNode& node);
Color OutcomeColor(const orch::v1::JobNode& node);
// What Puppet does on a node: `idle`, `applying a catalog`, `disabled: <why>`; `idle, no daemon`
// where nothing runs by itself. Empty: nothing is known.
std::string PuppetWord(const orch::v1::PuppetStatusResult& puppet);
// `CHANGED 12m30s ago`; `12m30s ago` where only its time is known; empty: there was none.
std::string LastRunWord(const orch::v1::PuppetStatusResult& puppet, absl::Time now);
// The same with counts, environment, and the job that started it.
std::string LastRunText(const orch::v1::PuppetStatusResult& puppet, absl::Time now);
Color VerdictColor(orch::v1::PuppetRunVerdict verdict);
// A node's outcome in one line, and the lines below it: for failures the errors, then what changed.
std::string NodeLine(const Terminal& terminal, const orch::v1::JobNode& node);
std::vector<std::string> NodeDetails(const Terminal& terminal, const ChangeLook& look,
                                     const orch::v1::JobNode& node);
// What --sort-by may name where a job's nodes are shown.
const std::vector<std::string>& NodeSortKeys();
// Sorts as --sort-by says; unknown keys change nothing.
void SortNodes(const std::string& sort_by,
               google::protobuf::RepeatedPtrField<orch::v1::JobNode>* nodes);
// The last lines on stderr: counts, who was not asked, why the job ended as it did.
std::vector<std::string> Summary(const Terminal& terminal, const Tally& tally,
                                 absl::Duration elapsed);

// `line` in at most `width` columns (0: whole), cut visibly, its colour ended.
std::string FitLine(const Terminal& terminal, size_t width, absl::string_view line);
// Prints lines; on a terminal they are cut to its width, unless -o wide was asked for.
void PrintCut(Session& session, absl::string_view lines);
// Columns padded to their widest cell; the first row is the header.
std::string Table(const std::vector<std::vector<std::string>>& rows, bool headers);
// Thrown where something came that can't be printed; main says so and exits with 70.
struct Unprintable : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// `json`, `jsonl` (one line) or `yaml` of an API message. Throws Unprintable.
std::string Serialized(const google::protobuf::Message& message, Output output);

}  // namespace orch::cli
