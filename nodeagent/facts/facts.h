// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/strand.h"
#include "nodeagent/facts/fact_source.h"
#include "nodeagent/puppet/puppet_config.pb.h"
#include "nodeagent/puppet/puppet_paths.h"
#include "orch/v1/node.pb.h"
#include "target/node_view.h"

namespace orch::nodeagent {

struct FactsParts {
  base::Strand strand;
  const base::Clock* clock = nullptr;
  PuppetPathsFinder* paths = nullptr;  // outlives Facts
  FactsConfig config;
  // Where facts are kept over a restart, for example <state_dir>/facts.json; empty: nowhere.
  std::string cache_path;
  std::string identity;
  std::vector<std::string> collectives;
};

// What this node knows of itself, live: facts and classes from all sources, and the answers to the
// calls of the target language. What a target is decided against.
//
// A source that fails keeps its last good facts and is named in errors(). Files are watched;
// programs (facter) run at start if their facts are older than the interval, then on a timer. A
// restart begins with the facts of before, from disk. Nothing of it is waited for on the strand:
// not for a program, nor for a file system. docs/facts.md has the whole.
//
// Lives on: `strand`. facts() and classes() stay the same between two events of the strand.
class Facts : public target::NodeView {
 public:
  // Reads the cache (blocking, small).
  explicit Facts(FactsParts parts);
  ~Facts() override;
  Facts(const Facts&) = delete;
  Facts& operator=(const Facts&) = delete;

  // Begins to refresh. `on_change` is called on the strand when digest() or errors() changed.
  void Start(std::function<void()> on_change);
  // Reads and runs all sources again soon: SIGHUP, the end of a Puppet run. Many calls make one.
  void Refresh();
  // Full names, sorted: what `-A` and `action()` see. Once, by main, from Actions::Offered().
  void SetActions(std::vector<std::string> actions);

  // NodeView.
  absl::string_view identity() const override;
  const nlohmann::json* facts() const override;
  const std::vector<std::string>* classes() const override;
  const std::vector<std::string>* actions() const override;
  const std::vector<std::string>& collectives() const override;
  // puppet(), resource(), fstat(); reads Puppet's files, in milliseconds.
  absl::StatusOr<nlohmann::json> Answer(const target::Call& call) const override;

  // The facts as they go on the bus: one line of JSON, at most kFactsMax.
  const std::string& json() const;
  // SHA-256 over facts without the volatile ones, and classes: what presence carries.
  const std::string& digest() const;
  // When something was last read; InfinitePast if nothing was.
  absl::Time read_time() const;
  // Sources that fail, sorted by source.
  std::vector<orch::v1::FactSourceError> errors() const;
  // The file or program that each top-level fact is of, by the fact's name.
  const std::map<std::string, std::string>& origins() const;
  // Whether all sources have had their say since Start(), be it an error.
  bool settled() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
