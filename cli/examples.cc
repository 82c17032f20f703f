// SPDX-License-Identifier: Apache-2.0
#include "cli/examples.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace orch::cli {
namespace {

struct OfCommand {
  const char* path;
  Example example;
};

// docs/orchctl.md has what each flag means; this is what one types first.
constexpr OfCommand kExamples[] = {
    {"ping", {"orchctl ping", "who answers, and how fast"}},
    {"ping", {"orchctl ping -F os.family=Debian -C nginx", "of the nodes that match both"}},
    {"find", {"orchctl find -S 'role=web and not nginx'", "the names, one a line"}},
    {"find",
     {"orchctl find -F role=web -o json | orchctl puppet run --nodes -", "then just these"}},
    {"facts", {"orchctl facts os.distro.codename", "how many nodes have which value"}},
    {"facts", {"orchctl facts uptime_days --sort-by -value --top 10", "the highest ten"}},
    {"inventory", {"orchctl inventory web1.example.net", "all that one node says of itself"}},
    {"inventory", {"orchctl inventory --format csv:identity,facts.os.family", "a report"}},
    {"run", {"orchctl run puppet.status -F role=web", "any action by its name"}},
    {"run", {"orchctl run puppet.run noop=true environment=staging --all", "with its arguments"}},
    {"puppet run", {"orchctl puppet run web1.example.net", "one node"}},
    {"puppet run",
     {"orchctl puppet run -F role=web --noop --show-diff", "say what would change, and how"}},
    {"puppet run",
     {"orchctl puppet run --all --canary 5% --canary-wait 10m --concurrency 50 --max-failures 2%",
      "a fleet, carefully"}},
    {"puppet run", {"orchctl puppet run --last-failed last", "again, where it failed"}},
    {"puppet run", {"orchctl puppet run --all --detach | orchctl job wait -", "for scripts"}},
    {"puppet status", {"orchctl puppet status -F role=web", "what Puppet does, and how it went"}},
    {"puppet enable", {"orchctl puppet enable web1.example.net", "allow runs again"}},
    {"puppet disable",
     {"orchctl puppet disable -F role=db -m 'restoring a backup'", "forbid runs"}},
    {"job list", {"orchctl job list --since 2h --state failed,stopped", "what went wrong"}},
    {"job list",
     {"orchctl job list --action 'puppet.*' --label ticket=OPS-1", "by what it is for"}},
    {"job show", {"orchctl job show last --failed", "the nodes that did not succeed"}},
    {"job show", {"orchctl job show 01M8Q3P3 --node web1.example.net -v", "one node, everything"}},
    {"job logs", {"orchctl job logs web1.example.net --follow", "Puppet's log of my newest job"}},
    {"job watch", {"orchctl job watch", "follow my newest job"}},
    {"job wait", {"orchctl job wait last --timeout 30m", "until it has ended"}},
    {"job diff", {"orchctl job diff 01M8Q3P3 last", "what came out otherwise"}},
    {"job cancel", {"orchctl job cancel last --reason 'wrong environment'", ""}},
    {"job pause", {"orchctl job pause last", ""}},
    {"job resume", {"orchctl job resume last", ""}},
    {"job rerun", {"orchctl job rerun 01M8Q3P3", ""}},
    {"node list", {"orchctl node list --stale --gone", "who is missing"}},
    {"node list", {"orchctl node list --watch -F role=web", "then each change"}},
    {"node show", {"orchctl node show web1.example.net", "with its facts"}},
    {"policy check", {"orchctl policy check policy.yaml", "before it is installed"}},
    {"policy lint",
     {"orchctl policy lint /etc/mcollective/policies", "what no longer means the same"}},
    {"policy explain",
     {"orchctl policy explain --caller cert=alice --action puppet.run -F role=web",
      "which rule decides"}},
    {"policy explain",
     {"orchctl policy explain --policy new.yaml --caller cert=alice",
      "by rules that are not in force"}},
    {"explain policy", {"orchctl explain policy --action puppet.disable", "may I?"}},
    {"explain target", {"orchctl explain target -F osfamily=Debian", "which clause leaves nobody"}},
    {"explain error", {"orchctl explain error POLICY_DENIED", "what to do about it"}},
    {"target test", {"orchctl target test -F role=web --facts facts.json", "without a controller"}},
    {"audit list", {"orchctl audit list --since 1d --action puppet.run --decision deny", ""}},
    {"audit verify", {"orchctl audit verify /var/lib/orch/audit.jsonl", "is the chain whole?"}},
    {"context set",
     {"orchctl context set prod --server ctl.example.net:7443 --ca ca.pem --cert me.pem --key "
      "me.key",
      "remember a controller"}},
    {"context use", {"orchctl context use prod", ""}},
    {"context show", {"orchctl context show", "which controller, with which certificate"}},
    {"whoami", {"orchctl whoami", ""}},
    {"completion", {"source <(orchctl completion bash)", "for this shell; then in ~/.bashrc"}},
    {"man", {"orchctl man | man -l -", "the manual page"}},
    {"help", {"orchctl help puppet run", ""}},
    {"doctor", {"orchctl doctor", "what is wrong, and what to do"}},
};

void AddTo(CLI::App& command, const std::string& path) {
  for (CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
    AddTo(*sub, path.empty() ? sub->get_name() : absl::StrCat(path, " ", sub->get_name()));
  }
  const std::vector<Example> examples = ExamplesOf(path);
  if (examples.empty()) return;
  std::string text = "Examples:\n";
  for (const Example& example : examples) {
    absl::StrAppend(&text, "  ", example.line, "\n");
    if (*example.about != '\0') absl::StrAppend(&text, "      ", example.about, "\n");
  }
  const std::string before = command.get_footer();
  command.footer(
      [before, text] { return before.empty() ? text : absl::StrCat(before, "\n", text); });
}

}  // namespace

std::vector<Example> ExamplesOf(const std::string& path) {
  std::vector<Example> out;
  for (const OfCommand& one : kExamples) {
    if (path == one.path) out.push_back(one.example);
  }
  return out;
}

void AddExamples(CLI::App& app) { AddTo(app, ""); }

}  // namespace orch::cli
