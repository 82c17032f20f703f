// SPDX-License-Identifier: Apache-2.0
#include "cli/target_flags.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/quantity.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/nodes_file.h"
#include "target/target.h"
#include "target/words.h"

namespace orch::cli {
namespace {

absl::StatusOr<google::protobuf::Duration> Time(absl::string_view flag, const std::string& text) {
  const absl::StatusOr<absl::Duration> time = base::ParseDuration(text);
  if (!time.ok()) return base::Annotate(time.status(), absl::StrCat(flag, " ", text));
  return ToProtoDuration(*time);
}

}  // namespace

absl::StatusOr<orch::v1::Quantity> Quantity(absl::string_view flag, const std::string& text) {
  absl::StatusOr<orch::v1::Quantity> quantity = api::ParseQuantity(text);
  if (!quantity.ok()) return base::Annotate(quantity.status(), flag);
  return quantity;
}

void TargetFlags::AddTo(CLI::App* command) {
  const std::string group = "Who";
  // One value each time, as it is: `[a,b]` is no list, and what follows is not one more value.
  const auto add = [&](const char* name, std::vector<std::string>* values, const char* text,
                       const char* type) {
    command->add_option(name, *values, text)
        ->group(group)
        ->expected(1)
        ->allow_extra_args(false)
        ->take_all()
        ->type_name(type);
  };
  add("-F,--with-fact", &facts, "a fact comparison, for example os.family=Debian", "FACT");
  add("-C,--with-class", &classes, "a class the node has, or /regex/", "CLASS");
  add("-A,--with-action", &actions, "an action or group the node offers, or /regex/", "ACTION");
  add("-I,--with-identity", &identities, "an identity, or /regex/; several are OR", "NODE");
  add("-W,--with", &words, "facts and classes in one string", "WORDS");
  add("-S,--select", &select, "an expression, for example 'role=web and not nginx'", "EXPR");
  command->add_option("-T,--collective", collective, "the collective; default main")->group(group);
  command
      ->add_option("--nodes", nodes_file,
                   "exactly the nodes in FILE (- is standard input): names, or an earlier result")
      ->group(group)
      ->type_name("FILE");
}

void TargetFlags::AddNodes(CLI::App* command) {
  command->add_option("node", nodes, "nodes by name, as with -I")->type_name("NODE");
}

absl::StatusOr<std::vector<std::string>> TargetFlags::Nodes() const {
  if (nodes_file.empty()) return std::vector<std::string>();
  return ReadNodesFile(nodes_file);
}

bool TargetFlags::empty() const {
  return facts.empty() && classes.empty() && actions.empty() && identities.empty() &&
         words.empty() && select.empty() && nodes_file.empty() && nodes.empty();
}

absl::StatusOr<orch::v1::Target> TargetFlags::Build() const {
  orch::v1::Target out;
  for (const std::string& f : facts) out.add_facts(f);
  for (const std::string& c : classes) out.add_classes(c);
  for (const std::string& a : actions) out.add_actions(a);
  for (const std::string& i : identities) out.add_identities(i);
  for (const std::string& node : nodes) {
    if (!base::IsIdentity(node)) {
      return absl::InvalidArgumentError(
          absl::StrCat("`", node,
                       "` is no node's name: a word without a flag names a node (an expression "
                       "goes with -I /…/, -F, "
                       "-C or -S, a message with -m)"));
    }
    out.add_identities(node);
  }
  for (const std::string& s : select) out.add_select(s);
  for (const std::string& w : words) {
    const int before = out.facts_size() + out.classes_size();
    target::AddWords(w, &out);
    // Nobody's clause would be everybody.
    if (out.facts_size() + out.classes_size() == before) {
      return absl::InvalidArgumentError("-W: expected a fact or class");
    }
  }
  out.set_collective(collective);
  if (!collective.empty() && !base::IsCollective(collective)) {
    return absl::InvalidArgumentError(absl::StrCat("-T ", collective, ": not a collective's name"));
  }
  ORCH_RETURN_IF_ERROR(target::Target::Compile(out).status());
  return out;
}

void RolloutFlags::AddTo(CLI::App* command) {
  const std::string group = "How fast";
  command
      ->add_option("--canary", canary, "so many first, N or N%; go on only if all of them succeed")
      ->group(group)
      ->type_name("N|P%");
  command
      ->add_option("--canary-wait", canary_wait,
                   "wait so long after the canary before the others start, for example 10m")
      ->group(group)
      ->type_name("TIME");
  command->add_option("--concurrency", concurrency, "at most N at once, auto or unlimited")
      ->group(group)
      ->type_name("N");
  command->add_option("--batch", batch, "start N or N% at a time")->group(group)->type_name("N|P%");
  command->add_option("--batch-sleep", batch_sleep, "wait between batches, for example 30s")
      ->group(group)
      ->type_name("TIME");
  command->add_option("--max-failures", max_failures, "stop at so many failures")
      ->group(group)
      ->type_name("N|P%");
}

absl::StatusOr<orch::v1::Rollout> RolloutFlags::Build() const {
  orch::v1::Rollout out;
  if (!canary.empty()) {
    ORCH_ASSIGN_OR_RETURN(*out.mutable_canary(), Quantity("--canary", canary));
  }
  if (!batch.empty()) {
    ORCH_ASSIGN_OR_RETURN(*out.mutable_batch_size(), Quantity("--batch", batch));
  }
  if (!max_failures.empty()) {
    ORCH_ASSIGN_OR_RETURN(*out.mutable_max_failures(), Quantity("--max-failures", max_failures));
  }
  if (concurrency == "unlimited") {
    out.set_unlimited(true);
  } else if (!concurrency.empty() && concurrency != "auto") {
    uint32_t n = 0;
    if (!absl::SimpleAtoi(concurrency, &n) || n == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("--concurrency ", concurrency, ": expected a number, auto or unlimited"));
    }
    out.set_concurrency(n);
  }
  if (!batch_sleep.empty()) {
    ORCH_ASSIGN_OR_RETURN(*out.mutable_batch_sleep(), Time("--batch-sleep", batch_sleep));
  }
  if (!canary_wait.empty()) {
    ORCH_ASSIGN_OR_RETURN(*out.mutable_canary_wait(), Time("--canary-wait", canary_wait));
  }
  return out;
}

}  // namespace orch::cli
