// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "nodeagent/facts/fact_source.h"

// Looking at the files of a source. Calls block, on a dead network file system for ever.
// Thread-safe.

namespace orch::nodeagent {

// Files of one directory that count.
inline constexpr size_t kFactFilesMax = 1000;
// What all sources hold together, taken or not. What comes beyond is refused; one look reads no
// more.
inline constexpr size_t kFactsHeldMax = 8 << 20;
// A file whose content makes no sense and that was changed within this time is still being written.
inline constexpr absl::Duration kSettleTime = absl::Seconds(1);
// But not longer than this after it was found so.
inline constexpr absl::Duration kSettleMax = absl::Seconds(3);

// What tells that a file has changed.
struct FileMark {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modify_ns = 0;
  int64_t change_ns = 0;
  bool operator==(const FileMark&) const = default;
};

struct LookOrder {
  SourcePlan plan;
  int inotify = -1;                      // where to add watches; -1: none
  size_t bytes_max = 0;                  // of one file
  std::map<std::string, FileMark> seen;  // what need not be read again while it stays so
  std::set<std::string> known;           // what gave facts before
  std::set<std::string> had_time;        // what has had its time to settle
};

// What was found. Files are named by their paths; the file or program that is a source of its own,
// by the empty text.
struct Look {
  // Of the source as a whole: NotFound where it is not there.
  absl::Status status;
  // All that is there.
  std::set<std::string> names;
  // What was read because it is new or has changed: facts, or a list of classes, as JSON.
  std::map<std::string, absl::StatusOr<std::string>> read;
  // What may be run, with its real path, and when it changed.
  struct Program {
    std::string path;
    bool changed = false;  // against LookOrder::seen, where it was in there
    absl::Time change_time;
  };
  std::map<std::string, Program> programs;
  std::map<std::string, FileMark> seen;
  std::set<int> watches;     // descriptors of inotify(7)
  absl::Status watch_error;  // why not all can be watched
  size_t bytes_read = 0;
  std::set<std::string> unsettled;  // is being written: look again soon
};

Look LookAt(const LookOrder& order);

// Reads facts by the file's ending, at most `max` bytes: an object, as JSON.
absl::StatusOr<std::string> ReadFactsFile(const std::string& path, size_t max);

// JSON in one line.
std::string OneLine(const nlohmann::json& json);

}  // namespace orch::nodeagent
