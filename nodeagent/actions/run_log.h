// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "nodeagent/puppet/puppet_report.h"
#include "orch/v1/action.pb.h"

namespace orch::nodeagent {

// Bytes of the log that one call reads, of the longest line that is understood (longer ones are
// left out), and of a text that is passed on.
inline constexpr size_t kLogReadMax = 256 << 10;
inline constexpr size_t kLogLineMax = 64 << 10;
inline constexpr size_t kProgressTextMax = 2048;
// The most lines of one run that are passed on; one more then says that there are others.
inline constexpr int kProgressMax = 1000;
// The most bytes of a log that are searched when its run has ended.
inline constexpr uint64_t kLogSearchMax = 512 << 20;

// Reads one line of Puppet's `.jsonl` log; nullopt: it is not such a line.
std::optional<orch::v1::PuppetRunProgress> ParseLogLine(const std::string& line);

// The weight of a log level: 0 debug, 1 info, 2 notice, 3 warning, 4 err and worse.
int LogLevelRank(const std::string& level);

// Follows Puppet's log as it grows. Reads block, for at most kLogReadMax bytes of a local file.
class RunLog {
 public:
  // Passes on lines of at least `least_rank`; Facter's complaints, which are not failures of the
  // run, never.
  RunLog(std::string path, int least_rank) : path_(std::move(path)), least_rank_(least_rank) {}

  // The lines that were added since the last call, at most kLogReadMax bytes of them.
  std::vector<orch::v1::PuppetRunProgress> ReadMore();

  // How far this has read. A restarted agent resumes there, so that no line is passed on twice.
  struct Position {
    uint64_t offset = 0;
    int passed = 0;
  };
  Position position() const { return {offset_ - partial_.size(), passed_}; }
  void Resume(Position position);
  // Lines of at least `least_rank` that were not passed on, and lines too long to tell.
  uint64_t omitted() const { return omitted_; }

 private:
  void OnLine(const std::string& line, std::vector<orch::v1::PuppetRunProgress>* out);

  const std::string path_;
  const int least_rank_;
  uint64_t offset_ = 0;
  std::string partial_;  // a line whose end is not written yet
  bool skipping_ = false;
  int passed_ = 0;
  uint64_t omitted_ = 0;
};

// What the log of an ended run says.
struct RunLogSummary {
  PuppetErrors errors;       // without Facter's
  bool says_locked = false;  // another run was under way
  bool says_disabled = false;
  // The catalog was of another environment, and --strict_environment_mode kept Puppet from it.
  bool says_environment = false;
  bool has_lines = false;   // of level notice or above
  bool has_a_time = false;  // a line has one of the times that were looked for
};

// Reads a whole log (at most kLogSearchMax of it) and notes whether a line has one of `times`.
// Blocks.
RunLogSummary SearchRunLog(const std::string& path, const std::vector<std::string>& times);

}  // namespace orch::nodeagent
