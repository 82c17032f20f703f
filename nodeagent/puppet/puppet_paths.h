// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strand.h"
#include "nodeagent/puppet/puppet_config.pb.h"

namespace orch::nodeagent {

// Where Puppet keeps the files that we read and write, and how it is started. Members have the
// names of Puppet's settings, as in `puppet config print`.
struct PuppetPaths {
  std::string program;
  // `--confdir …` and the like: begins the arguments of each Puppet that is started.
  std::vector<std::string> flags;
  std::string config;  // puppet.conf
  std::string agent_disabled_lockfile;
  std::string agent_catalog_run_lockfile;
  std::string pidfile;
  std::string lastrunfile;
  std::string lastrunreport;
  std::string classfile;
  std::string resourcefile;
  absl::Duration runtimeout;  // zero: none
};

// Knows PuppetPaths: from our configuration, else from what Puppet answered last, kept on disk as
// long as puppet.conf and Puppet itself (its program, and its version.rb where packages put it)
// stay as they were, else by asking `puppet config print`, which costs a second
// or two of Ruby and is never waited for on the strand.
//
// Lives on: `strand`.
class PuppetPathsFinder {
 public:
  // `cache_path`: where answers are kept, for example <state_dir>/puppet_paths.json. Reads it
  // (blocking, small).
  PuppetPathsFinder(base::Strand strand, const base::Clock* clock, PuppetConfig config,
                    std::string cache_path);
  ~PuppetPathsFinder();
  PuppetPathsFinder(const PuppetPathsFinder&) = delete;
  PuppetPathsFinder& operator=(const PuppetPathsFinder&) = delete;

  // What is known; null as long as nothing is. Looks whether any of those files has changed and, if
  // so, asks again in the background; until the answer is there the old one stays.
  std::shared_ptr<const PuppetPaths> Known();
  // Calls `done` once, perhaps before it returns, when the paths are known and puppet.conf has not
  // changed since. Errors: what `puppet config print` said; ResourceExhausted: too many wait
  // already.
  void Get(std::function<void(absl::StatusOr<std::shared_ptr<const PuppetPaths>>)> done);
  // Why Puppet could not be asked the last time; OK if it could.
  const absl::Status& last_error() const;
  const PuppetConfig& config() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// The configured program, else the first of the usual ones that exists; empty: there is none.
std::string PuppetProgram(const PuppetConfig& config);

}  // namespace orch::nodeagent
