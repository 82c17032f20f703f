// SPDX-License-Identifier: Apache-2.0

// A key press waits for this, so answers are kept for a minute in the user's cache, and whatever
// goes wrong is silence: a shell that prints an error in the middle of a line is worse than one
// that completes nothing.

#include "cli/completion_names.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "api/action_words.h"
#include "api/json.h"
#include "api/names.h"
#include "base/config.h"
#include "base/proto_time.h"
#include "cli/connection.h"
#include "cli/contexts.h"
#include "cli/distribution.h"
#include "cli/job_words.h"
#include "cli/node_text.h"
#include "cli/reasons.h"
#include "cli/render.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

constexpr int kPagesMax = 10;
// Nodes whose facts and classes are looked at.
constexpr int kLookedAtMax = 8;
constexpr int kJobsOffered = 50;
// Of a value that is offered; longer ones nobody types.
constexpr size_t kValueMax = 64;

std::string CacheFile(const std::string& context, NameKind kind, const std::string& of) {
  const char* xdg = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string directory = xdg != nullptr && *xdg != '\0' ? xdg
                          : home != nullptr              ? absl::StrCat(home, "/.cache")
                                                         : "";
  if (directory.empty()) return "";
  absl::StrAppend(&directory, "/orchctl");
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return "";
  std::string name = absl::StrCat(context, "-", static_cast<int>(kind), "-", of);
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.') c = '_';
  }
  return absl::StrCat(directory, "/names-", name.substr(0, 150));
}

bool IsFresh(const std::string& file) {
  struct stat info;
  return !file.empty() && stat(file.c_str(), &info) == 0 &&
         absl::Now() - absl::FromTimeT(info.st_mtime) < absl::Seconds(kNamesKeptSeconds);
}

std::vector<Candidate> Parsed(const std::string& text) {
  std::vector<Candidate> out;
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(line, absl::MaxSplits('\t', 1));
    out.push_back({parts.first, parts.second});
  }
  return out;
}

// A page of nodes after the other, at most kPagesMax.
void ForEachNode(Connection& connection, orch::v1::ListNodesRequest request,
                 const std::function<bool(const orch::v1::Node&)>& visit) {
  request.set_page_size(1000);
  for (int page = 0; page < kPagesMax; ++page) {
    const auto response = connection.Call(request);
    if (!response.ok()) return;
    for (const orch::v1::Node& node : response->nodes()) {
      if (!visit(node)) return;
    }
    if (response->next_page_token().empty()) return;
    request.set_page_token(response->next_page_token());
  }
}

std::vector<Candidate> NodeNames(Connection& connection) {
  orch::v1::ListNodesRequest request;
  request.mutable_read_mask()->add_paths("identity");
  request.mutable_read_mask()->add_paths("state");
  std::vector<Candidate> out;
  ForEachNode(connection, std::move(request), [&out](const orch::v1::Node& node) {
    out.push_back({node.identity(), absl::AsciiStrToLower(RosterWord(node))});
    return true;
  });
  return out;
}

// Whole nodes, a few that are present.
void ForSomeWholeNodes(Connection& connection,
                       const std::function<void(const orch::v1::Node&)>& visit) {
  orch::v1::ListNodesRequest request;
  request.add_states(orch::v1::ROSTER_STATE_PRESENT);
  request.mutable_read_mask()->add_paths("name");
  int left = kLookedAtMax;
  ForEachNode(connection, std::move(request), [&](const orch::v1::Node& node) {
    orch::v1::GetNodeRequest one;
    one.set_name(node.name());
    const auto whole = connection.Call(one);
    if (whole.ok()) visit(whole->node());
    return --left > 0;
  });
}

std::vector<Candidate> Listed(const std::set<std::string>& words) {
  std::vector<Candidate> out;
  for (const std::string& word : words) out.push_back({word, ""});
  return out;
}

std::vector<Candidate> FactNames(Connection& connection) {
  std::set<std::string> paths;
  ForSomeWholeNodes(connection, [&paths](const orch::v1::Node& node) {
    for (const auto& [path, value] : Flattened(api::FromStruct(node.facts()))) paths.insert(path);
  });
  return Listed(paths);
}

std::vector<Candidate> ClassNames(Connection& connection) {
  std::set<std::string> names;
  ForSomeWholeNodes(connection, [&names](const orch::v1::Node& node) {
    names.insert(node.classes().begin(), node.classes().end());
  });
  return Listed(names);
}

std::vector<Candidate> ValuesOf(Connection& connection, const std::string& fact) {
  orch::v1::ListNodesRequest request;
  request.add_facts(fact);
  request.mutable_read_mask()->add_paths("facts");
  std::set<std::string> values;
  ForEachNode(connection, std::move(request), [&](const orch::v1::Node& node) {
    const auto value = node.facts().fields().find(fact);
    if (value == node.facts().fields().end()) return true;
    const std::string text = FactText(api::FromValue(value->second));
    if (text.size() <= kValueMax) values.insert(text);
    return true;
  });
  return Listed(values);
}

std::vector<Candidate> JobNames(Connection& connection) {
  orch::v1::ListJobsRequest request;
  request.set_page_size(kJobsOffered);
  request.mutable_filter()->set_mutating(true);
  std::vector<Candidate> out = {{"last", "my newest job"}};
  const auto response = connection.Call(request);
  if (!response.ok()) return out;
  for (const orch::v1::Job& job : response->jobs()) {
    out.push_back({std::string(api::JobIdOf(job.name())),
                   absl::StrCat(api::ActionWords(job.spec().action()), ", ", job.targets(),
                                job.targets() == 1 ? " node, " : " nodes, ", JobStateWord(job),
                                ", ", Age(absl::Now() - ToTime(job.create_time())), " ago")});
  }
  return out;
}

std::vector<Candidate> ContextNames() {
  std::vector<Candidate> out;
  const absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) return out;
  for (const auto& [name, context] : config->contexts()) out.push_back({name, context.server()});
  return out;
}

std::vector<Candidate> ReasonNames() {
  std::vector<Candidate> out;
  for (const absl::string_view reason : absl::StrSplit(KnownReasons(), ", ")) {
    out.push_back({std::string(reason), ""});
  }
  return out;
}

}  // namespace

std::vector<Candidate> ControllerNames::Ask(NameKind kind, const std::string& of) const {
  GlobalOptions options;
  options.context = context_;
  const absl::StatusOr<Context> context = ResolveContext(options);
  if (!context.ok()) return {};
  const auto connection = Connection::Open(*context);
  if (!connection.ok()) return {};
  switch (kind) {
    case NameKind::kNodes:
      return NodeNames(**connection);
    case NameKind::kFacts:
      return FactNames(**connection);
    case NameKind::kFactValues:
      return ValuesOf(**connection, of);
    case NameKind::kClasses:
      return ClassNames(**connection);
    case NameKind::kJobs:
      return JobNames(**connection);
    default:
      return {};
  }
}

std::vector<Candidate> ControllerNames::Names(NameKind kind, const std::string& of) {
  if (kind == NameKind::kContexts) return ContextNames();
  if (kind == NameKind::kReasons) return ReasonNames();
  const std::string file = CacheFile(context_, kind, of);
  if (IsFresh(file)) {
    const auto text = base::ReadFile(file);
    if (text.ok()) return Parsed(*text);
  }
  const std::vector<Candidate> names = Ask(kind, of);
  std::string text;
  for (const Candidate& name : names) {
    absl::StrAppend(&text, Safe(name.word), "\t", Safe(name.about), "\n");
  }
  if (!file.empty() && !names.empty()) {
    base::WriteFileAtomically(file, text, 0600).IgnoreError();
  }
  return Parsed(text);
}

}  // namespace orch::cli
