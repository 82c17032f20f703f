// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/asio.h"
#include "base/clock.h"
#include "nodeagent/puppet_config.pb.h"
#include "nodeagent/puppet_paths.h"
#include "orch/v1/node.pb.h"
#include "target/node_view.h"

namespace orch::nodeagent {

// All facts of a node as JSON; a set that grows beyond it is not taken, the last good one stays.
inline constexpr size_t kFactsMax = 1 << 20;
// Classes that are kept, and bytes of one classes file.
inline constexpr size_t kClassesMax = 20'000;
inline constexpr size_t kClassesFileMax = 1 << 20;

struct FactsParts {
  base::Strand strand;
  // A one-thread executor for blocking work (asio::thread_pool of 1); outlives Facts. May be
  // shared.
  base::asio::any_io_executor worker;
  const base::Clock* clock = nullptr;
  PuppetPathsFinder* paths = nullptr;  // outlives Facts
  FactsConfig config;
  std::string
      cache_path;  // where facts are kept over a restart, for example <state_dir>/facts.json
  std::string identity;
  std::vector<std::string> collectives;
};

// What this node knows of itself, live: facts from facter and files, classes from Puppet's last
// catalog, and the answers to the calls of the target language. What a target is decided against.
//
// A source that fails keeps its last good values and is named in errors(). A restart begins with
// the facts of before, from disk; facter runs in the background, at start if its values are older
// than the interval, then on a timer.
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
  // Reads all sources again soon, facter too: SIGHUP, the end of a Puppet run. Many calls make one.
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
  // When the facts were read; InfinitePast if never.
  absl::Time read_time() const;
  // Sources that fail, sorted by source.
  std::vector<orch::v1::FactSourceError> errors() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace orch::nodeagent
