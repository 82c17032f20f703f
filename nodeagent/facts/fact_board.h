// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "nodeagent/facts/fact_files.h"
#include "nodeagent/facts/fact_merge.h"
#include "nodeagent/facts/fact_source.h"
#include "orch/v1/node.pb.h"

namespace orch::nodeagent {

// Errors that are told one by one: they travel in each presence.
inline constexpr size_t kFactErrorsMax = 16;
// A failing program is run again after so long, doubled each time, at most its interval.
inline constexpr absl::Duration kFactsRetryMin = absl::Minutes(1);

// Why a source is looked at.
enum class LookReason {
  kChange,  // something may have changed: only what has is read or run
  kTimer,   // it is due: programs are run
  kAsked,   // everything is read and run
};

// What each source of facts said last, what is wrong with it, and when it is due again. A source
// that fails keeps its last good facts.
//
// Pure. Lives on: Facts' strand.
class FactBoard {
 public:
  explicit FactBoard(const FactsConfig& config);

  size_t size() const { return sources_.size(); }
  const SourcePlan& plan(size_t source) const { return sources_[source].plan; }
  bool looked(size_t source) const { return sources_[source].looked; }
  // Where Puppet keeps its classes; empty: nowhere. Until it is told, classes of before the restart
  // stay.
  void SetClassfile(const std::string& path);
  // Where that is can't be found out. What is known of it stays, and it is an error if `expected`,
  // or if there were classes before.
  void OnNoClassfile(const std::string& why, bool expected, base::Now now);

  LookOrder NextLook(size_t source, LookReason reason, base::Now now) const;
  // Takes over what was found; gives the programs that are to be run.
  std::vector<std::string> OnLook(size_t source, Look look, LookReason reason, base::Now now);
  // The source does not come to an end.
  void OnLate(size_t source, base::Now now);
  // A program of a source is on its way, and has ended: facts as JSON in one line.
  void OnStart(size_t source) { sources_[source].running++; }
  void OnPrinted(size_t source, const std::string& name, absl::StatusOr<std::string> facts,
                 base::Now now);
  // The real path of a program; empty if it is no longer there.
  std::string ProgramPath(size_t source, const std::string& name) const;

  // Whether each source has had its say, be it an error.
  bool complete() const;
  // Whether there is something to merge.
  bool changed() const { return changed_; }
  MergeOrder NextMerge();
  // `order` as NextMerge() gave it.
  void OnMerged(const MergeOrder& order, const Merged& merged, base::Now now);
  // Something that fails and is none of the sources; empty `why`: it does no longer.
  void SetOther(const std::string& name, const std::string& why, base::Now now);

  // When the source is to be run and looked at again (steady).
  absl::Duration due(size_t source) const { return sources_[source].due; }
  // Watches of inotify(7) that somebody needs.
  std::set<int> watches() const;
  // When something was last read (wall); InfinitePast if nothing was.
  absl::Time read_time() const { return read_time_; }
  // Sorted by source, at most kFactErrorsMax and one that counts the rest.
  std::vector<orch::v1::FactSourceError> errors() const;
  // Counts up with each source that begins or ends to fail.
  uint64_t errors_version() const { return errors_version_; }

  // What survives a restart: good facts with their times, and since when a source fails.
  std::string ToCache() const;
  // False: there was nothing of use in it.
  bool FromCache(const std::string& cache, base::Now now);

 private:
  struct Piece {
    FactsText fresh;                         // waits to be taken, or was refused
    FactsText good;                          // is in the facts
    absl::Time time = absl::InfinitePast();  // of its reading
    std::string program;                     // its real path, if it is one
    std::string error;
    std::string refused;
    int failures = 0;  // of a program, one after the other
  };
  struct Source {
    SourcePlan plan;
    std::map<std::string, Piece> pieces;
    std::map<std::string, FileMark> seen;
    std::set<int> watches;
    std::map<std::string, absl::Duration> unsettled;  // since when (steady)
    std::string error;
    bool late = false;
    bool looked = false;
    int running = 0;                                // programs
    absl::Duration due = absl::InfiniteDuration();  // until it is looked at first
  };

  std::string NameOf(const Source& source, const std::string& piece) const;
  bool NeedsRun(const Source& source, const std::string& name, const Look::Program& program,
                LookReason reason, base::Now now) const;
  std::vector<std::string> ListRuns(Source* source, const Look& look, LookReason reason,
                                    base::Now now);
  // False: there is no room for it.
  bool TakeRead(const std::string& name, Piece* piece, absl::StatusOr<std::string> read,
                base::Now now);
  void SetErrors(base::Now now);
  // What failed before a restart is taken to fail until all have had their say.
  std::map<std::string, orch::v1::FactSourceError> Failing() const;
  size_t HeldBytes() const;

  size_t bytes_max_;
  std::vector<std::string> volatile_facts_;
  std::vector<Source> sources_;  // the last one is the classes'
  std::string classfile_;
  bool classfile_told_ = false;
  bool changed_ = false;
  absl::Time read_time_ = absl::InfinitePast();
  std::map<std::string, std::string> others_;
  std::map<std::string, orch::v1::FactSourceError> errors_;
  std::map<std::string, orch::v1::FactSourceError> failing_before_;  // the restart
  uint64_t errors_version_ = 0;
};

}  // namespace orch::nodeagent
