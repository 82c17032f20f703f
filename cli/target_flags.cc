// SPDX-License-Identifier: Apache-2.0
#include "cli/target_flags.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"
#include "target/target.h"
#include "target/words.h"

namespace orch::cli {
namespace {

constexpr size_t kNodesFileMax = 64 << 20;

// Takes identities out of any JSON that orchctl printed: `identity` of nodes, `node` of job nodes,
// or plain strings.
void Collect(const nlohmann::json& json, bool in_list, std::set<std::string>* out) {
  if (json.is_string() && in_list) {
    out->insert(json.get<std::string>());
  } else if (json.is_array()) {
    for (const auto& element : json) Collect(element, true, out);
  } else if (json.is_object()) {
    for (const char* key : {"identity", "node"}) {
      if (json.contains(key) && json[key].is_string()) {
        out->insert(json[key].get<std::string>());
        return;
      }
    }
    // Only where nodes are: silent ones of a discovery are not meant.
    for (const char* key : {"nodes", "node"}) {
      if (json.contains(key)) Collect(json[key], true, out);
    }
  }
}

absl::StatusOr<std::set<std::string>> FromText(const std::string& content) {
  std::set<std::string> out;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(content, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    if (!base::IsIdentity(line)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, ": `", line, "` is not a node's identity"));
    }
    out.insert(std::string(line));
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseNodes(const std::string& content) {
  std::set<std::string> names;
  const absl::string_view start = absl::StripLeadingAsciiWhitespace(content);
  if (absl::StartsWith(start, "{") || absl::StartsWith(start, "[")) {
    const nlohmann::json whole = nlohmann::json::parse(content, nullptr, false);
    if (!whole.is_discarded()) {
      Collect(whole, false, &names);
    } else {
      int number = 0;
      for (absl::string_view line : absl::StrSplit(content, '\n')) {
        ++number;
        if (absl::StripAsciiWhitespace(line).empty()) continue;
        const nlohmann::json json = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
        if (json.is_discarded())
          return absl::InvalidArgumentError(absl::StrCat("line ", number, ": not JSON"));
        Collect(json, false, &names);
      }
    }
  } else {
    ORCH_ASSIGN_OR_RETURN(names, FromText(content));
  }
  for (const std::string& name : names) {
    if (!base::IsIdentity(name)) {
      return absl::InvalidArgumentError(absl::StrCat("`", name, "` is not a node's identity"));
    }
  }
  return std::vector<std::string>(names.begin(), names.end());
}

void TargetFlags::AddTo(CLI::App* command) {
  const std::string group = "Who";
  command->add_option("-F,--with-fact", facts, "a fact comparison, for example os.family=Debian")
      ->group(group)
      ->expected(1)
      ->take_all()
      ->type_name("FACT");
  command->add_option("-C,--with-class", classes, "a class the node has, or /regex/")
      ->group(group)
      ->expected(1)
      ->take_all()
      ->type_name("CLASS");
  command->add_option("-A,--with-action", actions, "an action or group the node offers, or /regex/")
      ->group(group)
      ->expected(1)
      ->take_all()
      ->type_name("ACTION");
  command->add_option("-I,--with-identity", identities, "an identity, or /regex/; several are OR")
      ->group(group)
      ->expected(1)
      ->take_all()
      ->type_name("NODE");
  command->add_option("-W,--with", words, "facts and classes in one string")
      ->group(group)
      ->expected(1)
      ->take_all()
      ->type_name("WORDS");
  command->add_option("-S,--select", select, "an expression, for example 'role=web and not nginx'")
      ->group(group)
      ->expected(1)
      ->take_all()
      ->type_name("EXPR");
  command->add_option("-T,--collective", collective, "the collective; default main")->group(group);
  command->add_option("--nodes", nodes_file, "exactly the nodes in FILE (- is standard input)")
      ->group(group)
      ->type_name("FILE");
}

bool TargetFlags::empty() const {
  return facts.empty() && classes.empty() && actions.empty() && identities.empty() &&
         words.empty() && select.empty() && nodes_file.empty();
}

absl::StatusOr<orch::v1::Target> TargetFlags::Build() const {
  orch::v1::Target out;
  for (const std::string& f : facts) out.add_facts(f);
  for (const std::string& c : classes) out.add_classes(c);
  for (const std::string& a : actions) out.add_actions(a);
  for (const std::string& i : identities) out.add_identities(i);
  for (const std::string& s : select) out.add_select(s);
  for (const std::string& w : words) target::AddWords(w, &out);
  out.set_collective(collective);
  if (!collective.empty() && !base::IsCollective(collective)) {
    return absl::InvalidArgumentError(absl::StrCat("-T ", collective, ": not a collective's name"));
  }
  ORCH_RETURN_IF_ERROR(target::Target::Compile(out).status());
  return out;
}

absl::StatusOr<std::vector<std::string>> TargetFlags::Nodes() const {
  if (nodes_file.empty()) return std::vector<std::string>();
  std::string content;
  if (nodes_file == "-") {
    content.assign(std::istreambuf_iterator<char>(std::cin), {});
  } else {
    // A stream, not base::ReadFile: a pipe from <(…) is as good as a file.
    std::ifstream file(nodes_file);
    if (!file) return absl::ErrnoToStatus(errno, absl::StrCat("--nodes ", nodes_file));
    char block[1 << 16];
    while (file.read(block, sizeof block) || file.gcount() > 0) {
      content.append(block, file.gcount());
      if (content.size() > kNodesFileMax) {
        return absl::InvalidArgumentError(
            absl::StrCat("--nodes ", nodes_file, ": larger than ", kNodesFileMax, " bytes"));
      }
    }
    if (file.bad())
      return absl::InvalidArgumentError(absl::StrCat("--nodes ", nodes_file, ": can't be read"));
  }
  absl::StatusOr<std::vector<std::string>> names = ParseNodes(content);
  const std::string where =
      nodes_file == "-" ? "--nodes (standard input)" : absl::StrCat("--nodes ", nodes_file);
  if (!names.ok()) return base::Annotate(names.status(), where);
  if (names->empty()) return absl::InvalidArgumentError(absl::StrCat(where, ": names no node"));
  return names;
}

void RolloutFlags::AddTo(CLI::App* command) {
  const std::string group = "How fast";
  command->add_option("--limit", limit, "at most N or N% of the nodes")
      ->group(group)
      ->type_name("N|P%");
  command->add_option("--limit-seed", limit_seed, "choose them at random, repeatably")
      ->group(group);
  command->add_option("--canary", canary, "so many first; go on only if all succeed")
      ->check(CLI::Range(1, 1000000))
      ->check(CLI::Range(1, 1000000))
      ->group(group)
      ->type_name("N");
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
  out.set_limit(limit);
  out.set_limit_seed(limit_seed);
  out.set_canary(canary);
  out.set_batch_size(batch);
  out.set_max_failures(max_failures);
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
    absl::StatusOr<absl::Duration> sleep = base::ParseDuration(batch_sleep);
    if (!sleep.ok())
      return base::Annotate(sleep.status(), absl::StrCat("--batch-sleep ", batch_sleep));
    out.mutable_batch_sleep()->set_seconds(absl::ToInt64Seconds(*sleep));
    out.mutable_batch_sleep()->set_nanos(
        static_cast<int32_t>(absl::ToInt64Nanoseconds(*sleep % absl::Seconds(1))));
  }
  return out;
}

}  // namespace orch::cli
