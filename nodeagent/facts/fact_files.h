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

// A look at the files of one source of facts: what is there, what has changed, and its content
// (fact_board.h explains looks). FactBoard says what to look for (LookOrder) and takes what was
// found (Look); this file reads. Calls block, on a dead network file system for ever, so they run
// on errands (errands.h). Thread-safe.

namespace orch::nodeagent {

// The most files that one directory of facts may hold; with more the directory counts as failing.
inline constexpr size_t kFactFilesMax = 1000;
// Bytes of facts that all sources hold together, whether a merge has taken them or not. What would
// exceed it is refused, and one look reads no more than this.
inline constexpr size_t kFactsHeldMax = 8 << 20;
// A file whose content makes no sense and that was changed within this time is still being written.
inline constexpr absl::Duration kSettleTime = absl::Seconds(1);
// A file counts as still being written for at most this long; then its content is an error.
inline constexpr absl::Duration kSettleMax = absl::Seconds(3);

// What stat(2) says of a file. Two equal marks of a path mean that the file has not changed.
struct FileMark {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modify_ns = 0;
  int64_t change_ns = 0;
  bool operator==(const FileMark&) const = default;
};

// What a look is to do.
struct LookOrder {
  SourcePlan plan;
  int inotify = -1;      // the inotify(7) descriptor that gets the watches; -1: watch nothing
  size_t bytes_max = 0;  // the most that is read of one file
  // Files by name that are not read again while their marks stay the same.
  std::map<std::string, FileMark> seen;
  std::set<std::string> known;     // names that gave facts before
  std::set<std::string> had_time;  // names of files that no longer count as still being written
};

// What a look found. Names: a file in a directory, and a class file, is named by its path; a file
// or program that is the whole source is named by the empty text.
struct Look {
  // OK, or why the source as a whole can't be read. NotFound: it does not exist.
  absl::Status status;
  // The names of all files and programs of the source.
  std::set<std::string> names;
  // What was read, because it is new or has changed, by name: facts as a JSON object or classes as
  // a JSON list, or why the file can't be used.
  std::map<std::string, absl::StatusOr<std::string>> read;
  // A program that may be run.
  struct Program {
    std::string path;
    bool changed = false;  // its mark differs from the one in LookOrder::seen
    absl::Time change_time;
  };
  std::map<std::string, Program> programs;
  std::map<std::string, FileMark> seen;
  std::set<int> watches;     // descriptors of inotify(7)
  absl::Status watch_error;  // OK, or why not all directories can be watched
  size_t bytes_read = 0;
  std::set<std::string> unsettled;  // files that are still being written: look again soon
};

// Does one look: sets the watches, then reads what has changed and lists the programs.
Look LookAt(const LookOrder& order);

// Reads a file of facts of at most `max` bytes, in the format that its ending names (.json, .txt;
// anything else is YAML). Returns a JSON object in one line. InvalidArgument: not of that format;
// otherwise what reading says.
absl::StatusOr<std::string> ReadFactsFile(const std::string& path, size_t max);

// `json` in one line; what is not UTF-8 in it is replaced.
std::string OneLine(const nlohmann::json& json);

}  // namespace orch::nodeagent
