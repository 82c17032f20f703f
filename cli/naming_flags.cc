// SPDX-License-Identifier: Apache-2.0
#include "cli/naming_flags.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/states.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/contexts.h"
#include "cli/inventory_file.h"
#include "cli/job_ids.h"

namespace orch::cli {
namespace {

constexpr char kGroup[] = "Who, by name";

// Nothing to do, rather than a wrong command line.
absl::Status Nobody(absl::string_view text) {
  return api::Error(absl::StatusCode::kNotFound, "NODE_NOT_FOUND", text);
}

absl::StatusOr<std::string> InventoryPath(const std::string& given) {
  if (!given.empty()) return given;
  ORCH_ASSIGN_OR_RETURN(const Config config, LoadConfig());
  if (config.inventory().empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--group: which file? Give --inventory FILE, or `inventory:` in ", ConfigPath()));
  }
  return ExpandHome(config.inventory());
}

}  // namespace

void NamingFlags::AddTo(CLI::App* command, bool asks_only) {
  const auto option = [&](const char* names, auto& value, const char* help, const char* type) {
    return command->add_option(names, value, help)->group(kGroup)->type_name(type);
  };
  option("--last-failed", last_failed, "the nodes of an ended job that did not succeed", "JOB");
  option("--group", groups, "the nodes of a group of the inventory file", "GROUP")
      ->expected(1)
      ->take_all();
  option("--inventory", inventory, "a file with groups of nodes; default that of the configuration",
         "FILE");
  option("--pql", pql, "the nodes that a PuppetDB query names, 'nodes[certname]{ … }'", "QUERY");
  option("--limit", limit, "at most N or N% of the nodes", "N|P%");
  option("--limit-seed", limit_seed, "choose them at random, repeatably", "TEXT");
  if (asks_only) {
    option("--discovery-timeout", discovery_timeout,
           "how long to wait for nodes that don't answer, for example 5s; default 2s", "TIME");
  }
}

absl::StatusOr<std::vector<std::string>> NamingFlags::Names(const Session& session,
                                                            const TargetFlags& target) const {
  std::optional<std::vector<std::string>> names;
  const auto narrow = [&names](absl::StatusOr<std::vector<std::string>> more) {
    if (!more.ok()) return more.status();
    std::vector<std::string> both = *more;
    if (names.has_value()) {
      both.clear();
      std::set_intersection(names->begin(), names->end(), more->begin(), more->end(),
                            std::back_inserter(both));
    }
    names = std::move(both);
    return names->empty() ? Nobody("the flags that name nodes have no node in common")
                          : absl::OkStatus();
  };
  if (!target.nodes_file.empty()) ORCH_RETURN_IF_ERROR(narrow(target.Nodes()));
  if (!inventory.empty() && groups.empty()) {
    return absl::InvalidArgumentError("--inventory: which of its groups? Give --group");
  }
  if (!groups.empty()) {
    ORCH_ASSIGN_OR_RETURN(const std::string path, InventoryPath(inventory));
    ORCH_RETURN_IF_ERROR(narrow(ReadGroups(path, groups)));
  }
  if (!last_failed.empty()) {
    ORCH_ASSIGN_OR_RETURN(const Context context, ResolveContext(session.options));
    ORCH_ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection, Connection::Open(context));
    ORCH_RETURN_IF_ERROR(narrow(LastFailed(*connection, last_failed)));
  }
  return names.value_or(std::vector<std::string>());
}

absl::Status NamingFlags::FillInTimeout(const Session& session,
                                        google::protobuf::Duration* timeout) const {
  if (discovery_timeout.empty()) return absl::OkStatus();
  if (!session.options.timeout.empty()) {
    return absl::InvalidArgumentError(
        "--discovery-timeout and --timeout mean the same where nodes are only asked: give one");
  }
  const absl::StatusOr<absl::Duration> time = base::ParseDuration(discovery_timeout);
  if (!time.ok() || *time <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat("--discovery-timeout ", discovery_timeout,
                                                   ": expected a time above 0, for example 5s"));
  }
  *timeout = ToProtoDuration(*time);
  return absl::OkStatus();
}

absl::Status NamingFlags::FillIn(const Session& session, const TargetFlags& target,
                                 orch::v1::JobSpec* spec) const {
  ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(session, target));
  spec->mutable_nodes()->Assign(names.begin(), names.end());
  spec->set_pql(pql);
  if (!limit.empty()) {
    ORCH_ASSIGN_OR_RETURN(*spec->mutable_rollout()->mutable_limit(), Quantity("--limit", limit));
  }
  spec->mutable_rollout()->set_limit_seed(limit_seed);
  if (discovery_timeout.empty()) return absl::OkStatus();
  return FillInTimeout(session, spec->mutable_timeout());
}

absl::Status NamingFlags::FillIn(const Session& session, const TargetFlags& target,
                                 orch::v1::DiscoverNodesRequest* request) const {
  ORCH_ASSIGN_OR_RETURN(const std::vector<std::string> names, Names(session, target));
  request->mutable_nodes()->Assign(names.begin(), names.end());
  request->set_pql(pql);
  if (!limit.empty()) {
    ORCH_ASSIGN_OR_RETURN(*request->mutable_limit(), Quantity("--limit", limit));
  }
  request->set_limit_seed(limit_seed);
  if (discovery_timeout.empty()) return absl::OkStatus();
  return FillInTimeout(session, request->mutable_timeout());
}

void RefuseEmptyValues(CLI::App* command) {
  for (CLI::Option* option : command->get_options()) {
    const std::string& group = option->get_group();
    if (group != "Who" && group != kGroup && group != "How fast") continue;
    option->check([](const std::string& value) {
      return value.empty()
                 ? "is empty; is a variable not set? Leave the flag out if it is not meant"
                 : std::string();
    });
  }
  for (CLI::App* sub : command->get_subcommands([](const CLI::App*) { return true; })) {
    RefuseEmptyValues(sub);
  }
}

absl::StatusOr<std::vector<std::string>> LastFailed(Connection& connection,
                                                    const std::string& job) {
  const absl::StatusOr<std::string> name = ResolveJob(connection, job);
  if (!name.ok()) return base::Annotate(name.status(), "--last-failed");
  orch::v1::GetJobRequest get;
  get.set_name(*name);
  const absl::StatusOr<orch::v1::GetJobResponse> found = connection.Call(get);
  if (!found.ok()) return base::Annotate(found.status(), "--last-failed");
  if (!api::IsEnd(found->job().state())) {
    return absl::FailedPreconditionError(absl::StrCat(
        "--last-failed: ", get.name(), " has not ended; `orchctl job watch ", get.name(), "`"));
  }
  orch::v1::ListJobNodesRequest list;
  list.set_parent(get.name());
  list.set_page_size(1000);
  for (int number = orch::v1::NodeState_MIN; number <= orch::v1::NodeState_MAX; ++number) {
    const auto state = static_cast<orch::v1::NodeState>(number);
    if (api::IsTerminal(state) && state != orch::v1::NODE_STATE_SUCCEEDED) list.add_states(state);
  }
  std::vector<std::string> names;
  do {
    const absl::StatusOr<orch::v1::ListJobNodesResponse> page = connection.Call(list);
    if (!page.ok()) return base::Annotate(page.status(), "--last-failed");
    for (const orch::v1::JobNode& node : page->nodes()) names.push_back(node.node());
    list.set_page_token(page->next_page_token());
  } while (!list.page_token().empty());
  if (names.empty()) {
    return Nobody(absl::StrCat("--last-failed: ",
                               found->job().targets() == 0
                                   ? absl::StrCat(get.name(), " had no nodes")
                                   : absl::StrCat("every node of ", get.name(), " succeeded")));
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace orch::cli
