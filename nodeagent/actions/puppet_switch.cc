// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/puppet_switch.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "nodeagent/actions/outcome.h"
#include "nodeagent/puppet/puppet_lock.h"
#include "nodeagent/puppet/puppet_state.h"
#include "nodeagent/text/clean_text.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Outcome;

// A message from somebody else's lock may be of any length.
constexpr size_t kDisableMessageMax = 1000;

Outcome EnableResult(bool changed, const PuppetPaths& paths, absl::Time now) {
  orch::v1::ActionResult result;
  orch::v1::PuppetEnableResult& enable = *result.mutable_puppet_enable();
  enable.set_changed(changed);
  *enable.mutable_status() = ReadPuppetState(&paths, now);
  Outcome outcome = Succeeded(std::move(result));
  if (!changed) outcome.set_message("Puppet is already enabled");
  return outcome;
}

Outcome DisableResult(bool changed, const std::string& message, const PuppetPaths& paths,
                      absl::Time now) {
  orch::v1::ActionResult result;
  orch::v1::PuppetDisableResult& disable = *result.mutable_puppet_disable();
  disable.set_changed(changed);
  disable.set_message(CleanText(message, kDisableMessageMax));
  *disable.mutable_status() = ReadPuppetState(&paths, now);
  Outcome outcome = Succeeded(std::move(result));
  if (!changed)
    outcome.set_message("Puppet is already disabled; its message stays: --force replaces it");
  return outcome;
}

std::string DefaultMessage(const SwitchCaller& caller, absl::Time now) {
  const std::string time = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone());
  return absl::StrCat("Disabled by ", caller.caller, " at ", time,
                      caller.job_id.empty() ? "" : absl::StrCat(" (job ", caller.job_id, ")"));
}

}  // namespace

Outcome RunPuppetStatus(orch::v1::PuppetStatusResult state) {
  orch::v1::ActionResult result;
  *result.mutable_puppet_status() = std::move(state);
  return Succeeded(std::move(result));
}

Outcome RunPuppetEnable(const PuppetPaths& paths, absl::Time now) {
  if (!ReadDisabledLock(paths.agent_disabled_lockfile).has_value()) {
    return EnableResult(false, paths, now);
  }
  const absl::Status removed = RemoveDisabledLock(paths.agent_disabled_lockfile);
  if (!removed.ok()) return Failed("failed", removed.message());
  return EnableResult(true, paths, now);
}

Outcome RunPuppetDisable(const orch::v1::PuppetDisable& action, const SwitchCaller& caller,
                         const PuppetPaths& paths, absl::Time now) {
  const std::optional<std::string> before = ReadDisabledLock(paths.agent_disabled_lockfile);
  if (before.has_value() && !action.force()) return DisableResult(false, *before, paths, now);
  const std::string message =
      action.message().empty() ? DefaultMessage(caller, now) : action.message();
  if (before == message) return DisableResult(false, message, paths, now);
  const absl::Status written = WriteDisabledLock(paths.agent_disabled_lockfile, message);
  if (!written.ok()) return Failed("failed", written.message());
  return DisableResult(true, message, paths, now);
}

Outcome ResumePuppetEnable(const PuppetPaths& paths, absl::Time now) {
  if (!ReadDisabledLock(paths.agent_disabled_lockfile).has_value()) {
    return EnableResult(true, paths, now);
  }
  return Refused("interrupted",
                 "the node agent was restarted before Puppet was enabled; it is disabled");
}

Outcome ResumePuppetDisable(const PuppetPaths& paths, absl::Time now) {
  const std::optional<std::string> message = ReadDisabledLock(paths.agent_disabled_lockfile);
  if (message.has_value()) return DisableResult(true, *message, paths, now);
  return Refused("interrupted",
                 "the node agent was restarted before Puppet was disabled; it is enabled");
}

}  // namespace orch::nodeagent
