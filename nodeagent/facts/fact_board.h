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

// Why a source is looked at, and therefore how much of it is read or run.
enum class LookReason {
  kChange,  // a file may have changed: only files that did are read, only programs that did are run
  kTimer,   // the source's interval is over: its programs are run, files as with kChange
  kAsked,   // somebody asked (SIGHUP, a Puppet run ended): everything is read and run
};

// The state of all sources of facts: what each said last, what is wrong with it, when it is due
// again.
//
// A *look* is one visit to a source: FactFiles reads its files and lists its programs (LookOrder
// says how, Look is what was found), and the board decides which programs are then run. What was
// read is *fresh* until a merge takes it; after that it is *good* and part of the node's facts. The
// board guarantees:
//  - A source that fails keeps its last good facts, and is named in errors() from the first failure
//    to the first success.
//  - A program that fails is run again after kFactsRetryMin, doubled with each failure, and never
//    later than its interval.
//  - complete() turns true once every source has answered or failed, and stays so.
//
// The caller moves it: NextLook → (look) → OnLook → (programs) → OnPrinted, and whenever changed():
// NextMerge → (merge) → OnMerged.
//
// Pure. Lives on: Facts' strand.
class FactBoard {
 public:
  explicit FactBoard(const FactsConfig& config);

  size_t size() const { return sources_.size(); }
  const SourcePlan& plan(size_t source) const { return sources_[source].plan; }
  bool looked(size_t source) const { return sources_[source].looked; }
  // Tells where Puppet keeps its class file; empty: Puppet keeps none. Until this or OnNoClassfile
  // is called, the classes that were known before the restart stay.
  void SetClassfile(const std::string& path);
  // Tells that the place of Puppet's class file can't be found out, because of `why`. The known
  // classes stay. It counts as an error if Puppet is `expected` here, or if there were classes
  // before.
  void OnNoClassfile(const std::string& why, bool expected, base::Now now);

  // What to read in a look at `source`: the files that changed since the last one, or all.
  LookOrder NextLook(size_t source, LookReason reason, base::Now now) const;
  // Takes what a look found. Returns the names of the programs that are to be run because of it.
  std::vector<std::string> OnLook(size_t source, Look look, LookReason reason, base::Now now);
  // A look at `source` has not returned for kErrandLate (a dead network file system): that is an
  // error of the source until a look returns.
  void OnLate(size_t source, base::Now now);
  // A program of `source` was started.
  void OnStart(size_t source) { sources_[source].running++; }
  // The program `name` of `source` ended: with its facts, as JSON in one line, or with why there
  // are none.
  void OnPrinted(size_t source, const std::string& name, absl::StatusOr<std::string> facts,
                 base::Now now);
  // The real path of a program; empty if it is no longer there.
  std::string ProgramPath(size_t source, const std::string& name) const;

  // Whether every source has answered or failed at least once.
  bool complete() const;
  // Whether anything fresh waits to be merged into the node's facts.
  bool changed() const { return changed_; }
  // Everything that a merge needs, as a copy that another thread may work on.
  MergeOrder NextMerge();
  // A merge of `order`, which NextMerge() gave, has ended: what it took becomes good, what had no
  // room is reported.
  void OnMerged(const MergeOrder& order, const Merged& merged, base::Now now);
  // Reports a failure of something that is no source (the cache's file); an empty `why` ends the
  // report.
  void SetOther(const std::string& name, const std::string& why, base::Now now);

  // When the source is to be run and looked at again (steady).
  absl::Duration due(size_t source) const { return sources_[source].due; }
  // Watches of inotify(7) that somebody needs.
  std::set<int> watches() const;
  // When something was last read (wall); InfinitePast if nothing was.
  absl::Time read_time() const { return read_time_; }
  // The sources that fail, sorted by name: at most kFactErrorsMax of them, and one more entry that
  // counts the rest.
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
    std::string doubt;  // it is taken, but not as it was
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
