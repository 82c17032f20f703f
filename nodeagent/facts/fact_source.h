// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "nodeagent/puppet/puppet_config.pb.h"

// What the configuration says of where facts come from, with its defaults. Pure.

namespace orch::nodeagent {

inline constexpr int kFactSourcesMax = 64;
inline constexpr int kClassFilesMax = 64;
inline constexpr absl::Duration kFactsIntervalDefault = absl::Minutes(30);
inline constexpr absl::Duration kFactsIntervalMin = absl::Seconds(10);
inline constexpr absl::Duration kFactsTimeoutMax = absl::Minutes(10);
// All facts of a node as JSON; what would grow beyond it is not taken.
inline constexpr size_t kFactsMax = 1 << 20;
// The source that errors of class files are told by, if not by their paths.
inline constexpr char kClassesSource[] = "classes";

enum class SourceKind {
  kFile,       // paths[0]
  kDirectory,  // paths[0]
  kProgram,    // the first of paths that exists, with arguments
  kClasses,    // each of paths, one class a line
};

// A source, as those who read it want it.
struct SourcePlan {
  std::string name;
  SourceKind kind = SourceKind::kFile;
  std::vector<std::string> paths;
  std::vector<std::string> arguments;
  absl::Duration timeout;
  absl::Duration interval;
  std::string below;  // empty: top level
  bool optional = false;
  // Of a program, besides 0: Facter exits 1 when it could not find out one fact of many. Then it
  // must have printed some.
  int also_good_exit = 0;
};

// Adds the default sources where none are configured.
void FillInFacts(FactsConfig* config);
// InvalidArgument: `sources[1].name: …`.
absl::Status CheckFacts(const FactsConfig& config);

// In the order of the configuration; last, of kind kClasses, the class files, Puppet's without a
// path yet.
std::vector<SourcePlan> PlanSources(const FactsConfig& config);

// The bytes that all facts may have.
size_t FactBytesMax(const FactsConfig& config);

}  // namespace orch::nodeagent
