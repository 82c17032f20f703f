// SPDX-License-Identifier: Apache-2.0
#include <limits.h>
#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "api/names.h"
#include "base/weak.h"
#include "nodeagent/actions/actions_parts.h"
#include "nodeagent/actions/node_actions.h"
#include "nodeagent/actions/outcome.h"
#include "nodeagent/actions/puppet_run.h"
#include "nodeagent/actions/puppet_switch.h"
#include "nodeagent/puppet/last_run.h"
#include "nodeagent/puppet/puppet_state.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Outcome;
using orch::v1::Action;

class ActionList : public Actions {
 public:
  explicit ActionList(ActionsParts parts)
      : parts_(std::move(parts)),
        runs_(PuppetRunsParts{parts_.strand, parts_.worker, parts_.clock, parts_.paths,
                              absl::StrCat(parts_.state_dir, "/runs"), parts_.wrapper,
                              [facts = parts_.facts] { facts->Refresh(); }}) {}

  std::vector<orch::v1::NodeAction> Offered() const override {
    std::vector<orch::v1::NodeAction> offered;
    for (const api::ActionInfo& info : api::Actions()) {
      if (!IsOffered(info)) continue;
      orch::v1::NodeAction& action = offered.emplace_back();
      action.set_name(info.name);
      action.set_schema_digest(info.schema_digest);
      action.set_mutates(info.mutates);
    }
    return offered;
  }

  // THE list.
  void Start(ActionCall call) override {
    const absl::Time now = parts_.clock->Read().wall;
    switch (call.action.kind_case()) {
      case Action::kNodePing:
        return call.done(RunNodePing(now, parts_.start_time));
      case Action::kNodeFacts:
        return call.done(RunNodeFacts(call.action.node_facts(), *parts_.facts));
      case Action::kNodeInventory:
        return call.done(RunNodeInventory(*parts_.facts, PuppetState()));
      case Action::kPuppetRun:
        return runs_.Start(std::move(call));
      case Action::kPuppetStatus:
        return WithPaths(std::move(call), [this](const ActionCall&, const PuppetPaths& paths) {
          return RunPuppetStatus(StateOf(&paths));
        });
      case Action::kPuppetEnable:
        return WithPaths(std::move(call), [now](const ActionCall&, const PuppetPaths& paths) {
          return RunPuppetEnable(paths, now);
        });
      case Action::kPuppetDisable:
        return WithPaths(std::move(call), [now](const ActionCall& c, const PuppetPaths& paths) {
          return RunPuppetDisable(c.action.puppet_disable(), {c.caller, c.job_id}, paths, now);
        });
      case Action::kExternal:
      case Action::KIND_NOT_SET:
        return call.done(Unsupported(call.action));
    }
  }

  void Resume(ActionCall call) override {
    const absl::Time now = parts_.clock->Read().wall;
    switch (call.action.kind_case()) {
      case Action::kPuppetRun:
        return runs_.Resume(std::move(call));
      case Action::kPuppetEnable:
        return WithPaths(std::move(call), [now](const ActionCall&, const PuppetPaths& paths) {
          return ResumePuppetEnable(paths, now);
        });
      case Action::kPuppetDisable:
        return WithPaths(std::move(call), [now](const ActionCall&, const PuppetPaths& paths) {
          return ResumePuppetDisable(paths, now);
        });
      case Action::kNodePing:
      case Action::kNodeFacts:
      case Action::kNodeInventory:
      case Action::kPuppetStatus:
        // They change nothing: doing them again does no harm.
        return Start(std::move(call));
      case Action::kExternal:
      case Action::KIND_NOT_SET:
        return call.done(Unsupported(call.action));
    }
  }

  void Cancel(const std::string& job_id) override { runs_.Cancel(job_id); }
  int running() const override { return runs_.running(); }

  orch::v1::PuppetStatusResult PuppetState() const override {
    if (PuppetProgram(parts_.paths->config()).empty()) {
      orch::v1::PuppetStatusResult state;
      state.set_status("unknown");
      state.set_message("there is no Puppet on this node");
      return state;
    }
    return StateOf(parts_.paths->Known().get());
  }

 private:
  orch::v1::PuppetStatusResult StateOf(const PuppetPaths* paths) const {
    orch::v1::PuppetStatusResult state = ReadPuppetState(paths, parts_.clock->Read().wall);
    if (paths == nullptr) return state;
    const std::optional<orch::v1::PuppetRunDigest>& last = last_run_.Read(*paths);
    if (!last.has_value()) return state;
    orch::v1::PuppetRunDigest& digest = *state.mutable_last_run_digest();
    digest = *last;
    const RunOrigin& origin = runs_.origin();
    if (!digest.transaction_uuid().empty() &&
        digest.transaction_uuid() == origin.transaction_uuid) {
      digest.set_job(api::JobName(origin.job_id));
      digest.set_caller(origin.caller);
    }
    return state;
  }

  bool IsOffered(const api::ActionInfo& info) const {
    switch (info.arm->number()) {
      case Action::kNodePingFieldNumber:
      case Action::kNodeFactsFieldNumber:
      case Action::kNodeInventoryFieldNumber:
        return true;
      case Action::kPuppetRunFieldNumber:
      case Action::kPuppetStatusFieldNumber:
      case Action::kPuppetEnableFieldNumber:
      case Action::kPuppetDisableFieldNumber:
        return !PuppetProgram(parts_.paths->config()).empty();
      default:
        return false;
    }
  }

  static Outcome Unsupported(const Action& action) {
    const std::string name = api::NameOf(action);
    return Refused("unsupported", absl::StrCat("this node does not offer ",
                                               name.empty() ? "an unnamed action" : name));
  }

  // Puppet's settings may have to be asked for first.
  template <typename Handler>
  void WithPaths(ActionCall call, Handler handler) {
    parts_.paths->Get(
        lifetime_.Guard([call = std::move(call),
                         handler](const absl::StatusOr<std::shared_ptr<const PuppetPaths>>& paths) {
          if (!paths.ok()) {
            return call.done(Refused("puppet_unavailable", paths.status().message()));
          }
          call.done(handler(call, **paths));
        }));
  }

  const ActionsParts parts_;
  PuppetRuns runs_;
  mutable LastRun last_run_;
  base::Lifetime lifetime_;
};

}  // namespace

std::unique_ptr<Actions> NewActions(ActionsParts parts) {
  return std::make_unique<ActionList>(std::move(parts));
}

std::string OwnProgram() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0) return "";
  return std::string(absl::StripSuffix(absl::string_view(path, size), " (deleted)"));
}

}  // namespace orch::nodeagent
