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

// What this node knows of itself now: facts and classes from all sources, and the answers to the
// calls of the target language (`puppet()`, `resource()`, `fstat()`). Targets and the conditions of
// policies are decided against it.
//
// A source that fails keeps its last good facts and is named in errors(). Files are watched;
// programs (facter) run at start if their facts are older than the interval, then on a timer. A
// restart begins with the last facts, from disk. Sources are read, run and merged beside the
// strand, which never waits for them. Only Answer reads on the strand: Puppet's own small files,
// and fstat(), for which it waits at most kFstatPatience. docs/facts.md describes all of it.
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
  // Begins to read and run all sources again, for SIGHUP and for the end of a Puppet run. Calls
  // that come while that is under way are answered by one more round.
  void Refresh();
  // Sets the full names of the actions that this node offers, which `-A` and `action()` see. Called
  // once, by main, with the names of Actions::Offered().
  void SetActions(std::vector<std::string> actions);

  // NodeView.
  absl::string_view identity() const override;
  const nlohmann::json* facts() const override;
  const std::vector<std::string>* classes() const override;
  const std::vector<std::string>* actions() const override;
  const std::vector<std::string>& collectives() const override;
  // Answers puppet(), resource() and fstat() from files, in milliseconds (node_calls.h has the
  // errors).
  absl::StatusOr<nlohmann::json> Answer(const target::Call& call) const override;

  // The facts as they travel on the bus: one line of JSON of at most kFactsMax bytes; `{}` before
  // any are known.
  const std::string& json() const;
  // SHA-256 over the classes and the facts without the volatile ones; presence carries it. Empty
  // before any are known.
  const std::string& digest() const;
  // When something was last read; InfinitePast if nothing was.
  absl::Time read_time() const;
  // The sources that fail now, sorted by name, with why and since when.
  std::vector<orch::v1::FactSourceError> errors() const;
  // By the name of a top-level fact: the file or program that it is from.
  const std::map<std::string, std::string>& origins() const;
  // Whether every source has answered or failed since Start(), and all of that is merged.
  bool settled() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
