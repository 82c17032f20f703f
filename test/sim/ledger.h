// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "orch/v1/job.pb.h"
#include "test/sim/world.h"

namespace orch::sim {

// One Puppet run as it truly was.
struct TrueRun {
  std::string node;
  std::string job;
  std::string request;                    // hex
  std::string mark;                       // in its outcome's message: no two runs have the same
  std::optional<absl::Duration> started;  // Puppet's process; by the world's time
  std::optional<absl::Duration> ended;
  bool killed = false;  // by a reboot: there is no outcome
  orch::v1::NodeState state = orch::v1::NODE_STATE_UNSPECIFIED;
};

// What truly happened on the machines, and the rules that hold for it and for what the controller
// says of it. Knows nothing of journals, jobs or stores: it sees what goes over the bus, what
// reaches Puppet, and what API clients are shown.
class Ledger {
 public:
  explicit Ledger(World* world) : world_(world) {}

  // On the bus; only what is signed by the controller itself.
  void OnPublished(const std::string& destination, const std::string& body);
  // An agent hands a request to the action; `wall` by the node's clock. At most once for each
  // request, and never when it is void.
  void OnHandedOver(const std::string& node, const std::string& request, absl::Time wall);
  // Puppet's process starts.
  void OnStarted(TrueRun* run);
  TrueRun* NewRun(const std::string& node, const std::string& job, const std::string& request);
  void OnRebooted(const std::string& node) { reboots_[node].push_back(world_->now()); }

  // A reader was shown these, after what it was shown before.
  void OnShown(const std::string& reader, const std::string& job, const orch::v1::JobEvent& event);
  void OnShown(const std::string& reader, const orch::v1::Job& job);
  // The end: `log` is all of it, `nodes` all rows. From `calm` on nothing was lost any more.
  void Audit(const orch::v1::Job& job, const std::vector<orch::v1::JobEvent>& log,
             const std::vector<orch::v1::JobNode>& nodes, absl::Duration calm);
  // Long after the end: nothing has started since that must not.
  void AuditStarts();

  size_t starts() const;
  std::map<std::string, int> outcomes;  // by state, for the summary

 private:
  struct JobTruth {
    std::map<std::string, orch::v1::JobNode> last;  // terminal event of each node
    std::map<std::string, absl::Duration> decided;  // when
    std::map<std::string, bool> never;              // the controller said: it never starts
  };
  void AuditLog(const orch::v1::Job& job, const std::vector<orch::v1::JobEvent>& log,
                JobTruth* truth);
  void AuditCounts(const orch::v1::Job& job, const std::vector<orch::v1::JobNode>& nodes);
  void AuditNode(const orch::v1::Job& job, const orch::v1::JobNode& node, absl::Duration calm,
                 JobTruth* truth);
  std::vector<const TrueRun*> RunsOf(const std::string& node, const std::string& job) const;
  void Violate(const std::string& job, const std::string& node, const std::string& what);
  absl::Duration SinceBeginning(const google::protobuf::Timestamp& time) const;

  World* const world_;
  std::map<std::string, absl::Time> expiries_;                      // of requests, hex
  std::map<std::pair<std::string, std::string>, int> handed_over_;  // node, request
  std::vector<std::unique_ptr<TrueRun>> runs_;
  std::map<std::string, std::vector<absl::Duration>> reboots_;
  std::map<std::pair<std::string, std::string>, uint64_t> shown_;   // reader, job: sequence
  std::map<std::pair<std::string, uint64_t>, std::string> events_;  // job, sequence: as first shown
  std::map<std::string, JobTruth> truths_;
};

}  // namespace orch::sim
