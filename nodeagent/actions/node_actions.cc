// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/node_actions.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "api/json.h"
#include "base/proto_time.h"
#include "base/version.h"
#include "nodeagent/actions/outcome.h"
#include "target/compare.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

orch::bus::v1::Outcome IfItFits(orch::v1::ActionResult result) {
  const size_t size = result.ByteSizeLong();
  if (size <= kNodeAnswerMax) return Succeeded(std::move(result));
  return Failed("too_large", absl::StrCat("the answer has ", size, " bytes, more than the ",
                                          kNodeAnswerMax, " that fit into a reply"));
}

}  // namespace

orch::bus::v1::Outcome RunNodePing(absl::Time now, absl::Time start_time) {
  orch::v1::ActionResult result;
  orch::v1::NodePingResult& ping = *result.mutable_node_ping();
  ping.set_version(base::kVersion);
  *ping.mutable_time() = ToTimestamp(now);
  *ping.mutable_start_time() = ToTimestamp(start_time);
  return Succeeded(std::move(result));
}

orch::bus::v1::Outcome RunNodeFacts(const orch::v1::NodeFacts& action, const Facts& facts) {
  if (facts.facts() == nullptr) {
    return Failed("facts_unknown", "this node has not read its facts yet");
  }
  orch::v1::ActionResult result;
  auto& values = *result.mutable_node_facts()->mutable_facts();
  for (const std::string& path : action.facts()) {
    // As a target finds it, so that what is shown is what -F compares; null counts as missing.
    const json* const value = target::FindFact(*facts.facts(), path);
    if (value != nullptr) values[path] = api::ToValue(*value);
  }
  return IfItFits(std::move(result));
}

orch::bus::v1::Outcome RunNodeInventory(const Facts& facts,
                                        const orch::v1::PuppetStatusResult& puppet) {
  orch::v1::ActionResult result;
  orch::v1::NodeInventoryResult& inventory = *result.mutable_node_inventory();
  inventory.set_version(base::kVersion);
  if (facts.facts() != nullptr) {
    *inventory.mutable_facts() = api::ToStruct(*facts.facts());
    for (const std::string& name : *facts.classes()) inventory.add_classes(name);
    if (facts.read_time() != absl::InfinitePast()) {
      *inventory.mutable_facts_time() = ToTimestamp(facts.read_time());
    }
  }
  for (const std::string& name : *facts.actions()) inventory.add_actions(name);
  for (const std::string& name : facts.collectives()) inventory.add_collectives(name);
  *inventory.mutable_puppet() = puppet;
  return IfItFits(std::move(result));
}

}  // namespace orch::nodeagent
