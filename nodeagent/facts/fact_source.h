// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_config.pb.h"

// Where a node's facts come from, as the configuration says it (docs/facts.md), with the defaults
// filled in.
//
// A *source* is one entry of `facts.sources`: a file, a directory, or a program that prints facts.
// Class files count as one more source, which always comes last. A source is described by a
// SourcePlan; FactBoard keeps what each said, Facts does the reading. Pure.

namespace orch::nodeagent {

inline constexpr int kFactSourcesMax = 64;
inline constexpr int kClassFilesMax = 64;
inline constexpr absl::Duration kFactsIntervalDefault = absl::Minutes(30);
inline constexpr absl::Duration kFactsIntervalMin = absl::Seconds(10);
inline constexpr absl::Duration kFactsTimeoutMax = absl::Minutes(10);
// Bytes of all facts of a node as JSON. A source whose facts would make them more keeps its facts
// of before, and is reported as failing.
inline constexpr size_t kFactsMax = 1 << 20;
// The name under which the class files are reported where an error belongs to none of their paths.
inline constexpr char kClassesSource[] = "classes";

// How a source is read.
enum class SourceKind {
  kFile,       // paths[0] is read: JSON, YAML or name=value
  kDirectory,  // each file in paths[0] is read, each executable file in it is run (Facter's
               // facts.d)
  kProgram,    // the first of `paths` that exists is run with `arguments`
  kClasses,    // each of `paths` is read: one class a line
};

// One source with everything that its reader has to know. Made by PlanSources alone, so that each
// path is absolute and each duration within its limits.
struct SourcePlan {
  std::string name;  // unique among the sources; errors and origins name it
  SourceKind kind = SourceKind::kFile;
  std::vector<std::string> paths;
  std::vector<std::string> arguments;  // of a program
  absl::Duration timeout;              // a program is ended after it
  absl::Duration interval;             // a program is run again after it
  std::string below;  // the fact that holds this source's facts; empty: they are top-level facts
  bool optional = false;  // its absence is no error
  // An exit code of a program, besides 0, that is no failure provided it printed facts: Facter
  // exits with 1 when it could not find out one fact of many.
  int also_good_exit = 0;
  // A program that prints JSON and nothing else: whatever else it prints is an error.
  bool prints_json = false;
};

// Adds the default sources (Facter, or Ohai where that is there) where `config` names none.
void FillInFacts(FactsConfig* config);
// Says whether each source can be planned. InvalidArgument names the field: `sources[1].name: …`.
absl::Status CheckFacts(const FactsConfig& config);

// The sources in the configuration's order, which is the order of merging: a later one wins. The
// last one has kind kClasses and holds the configured class files; the path of Puppet's own class
// file is found out later (FactBoard::SetClassfile).
std::vector<SourcePlan> PlanSources(const FactsConfig& config);

// The bytes that all facts together may have as JSON: the configured ones, at most kFactsMax.
size_t FactBytesMax(const FactsConfig& config);

}  // namespace orch::nodeagent
