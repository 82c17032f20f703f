// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/catalog.h"
#include "base/config.h"
#include "cli/commands.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/reasons.h"
#include "cli/render.h"
#include "policy/lint.h"
#include "policy/policy.h"
#include "target/target.h"

namespace orch::cli {
namespace {

constexpr size_t kFactsFileMax = 16 << 20;

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

int CheckPolicy(Session& session, const std::string& path) {
  const auto policy = IsDirectory(path) ? policy::Policy::LoadActionPolicyDirectory(path)
                                        : policy::Policy::LoadNative(path);
  if (!policy.ok()) return Fail(session, policy.status());
  session.terminal.out << path << ": ok" << std::endl;
  return kExitOk;
}

int LintPolicy(Session& session, const std::string& path) {
  const auto findings = policy::LintActionPolicyDirectory(path);
  if (!findings.ok()) return Fail(session, findings.status());
  for (const policy::Finding& finding : *findings) {
    session.terminal.out << finding.file << ":" << finding.line << ": "
                         << (finding.refused ? "refused: " : "differs: ") << Safe(finding.what)
                         << "\n";
  }
  session.terminal.out.flush();
  if (!session.options.quiet) {
    session.terminal.err << path << ": " << findings->size() << " findings" << std::endl;
  }
  return findings->empty() ? kExitOk : kExitNothing;
}

struct ExplainFlags {
  TargetFlags target;
  std::string caller, action = "puppet.run";
  std::vector<std::string> words;
};

int ExplainPolicy(Session& session, const ExplainFlags& flags) {
  orch::v1::ExplainPolicyRequest request;
  request.set_caller(flags.caller);
  request.set_action(flags.action);
  if (!flags.words.empty()) {
    absl::StatusOr<orch::v1::Action> action = api::Parse(flags.action, flags.words);
    if (!action.ok()) return Fail(session, action.status());
    *request.mutable_arguments() = *std::move(action);
  }
  absl::StatusOr<orch::v1::Target> target = flags.target.Build();
  if (!target.ok()) return Fail(session, target.status());
  *request.mutable_target() = *std::move(target);
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  const Output output = OutputOf(session.options);
  if (output != Output::kTable && output != Output::kWide) {
    session.terminal.out << Serialized(*response, output) << std::flush;
  } else {
    for (const auto& step : response->steps()) {
      session.terminal.out << (step.decides() ? "=> " : "   ")
                           << (step.line() == 0 ? ""
                                                : absl::StrCat(step.file(), ":", step.line(), "  "))
                           << Safe(step.rule()) << ": " << Safe(step.why()) << "\n";
    }
    session.terminal.out << Safe(response->summary()) << "\n"
                         << response->allowed_nodes() << " nodes allowed, "
                         << response->denied_nodes() << " denied" << std::endl;
  }
  return response->effect() == orch::v1::POLICY_EFFECT_DENY ? kExitNothing : kExitOk;
}

int ExplainTarget(Session& session, const TargetFlags& flags, const std::string& node) {
  absl::StatusOr<orch::v1::Target> target = flags.Build();
  if (!target.ok()) return Fail(session, target.status());
  orch::v1::ExplainTargetRequest request;
  *request.mutable_target() = *std::move(target);
  request.set_node(node);
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  const Output output = OutputOf(session.options);
  if (output != Output::kTable && output != Output::kWide) {
    session.terminal.out << Serialized(*response, output) << std::flush;
    return kExitOk;
  }
  session.terminal.out << response->nodes() << " nodes are known\n";
  bool matches = true;
  for (const auto& clause : response->clauses()) {
    session.terminal.out << "  " << Safe(clause.words()) << ": " << clause.nodes_left() << " left";
    if (!node.empty()) {
      session.terminal.out << "; " << node << (clause.node_matches() ? " matches" : " does not")
                           << (clause.why().empty() ? "" : absl::StrCat(": ", Safe(clause.why())));
      matches = matches && clause.node_matches();
    }
    session.terminal.out << "\n";
  }
  session.terminal.out.flush();
  return matches ? kExitOk : kExitNothing;
}

struct TestFlags {
  TargetFlags target;
  std::string facts_file, classes_file, identity = "localhost";
  std::vector<std::string> actions;
};

absl::StatusOr<target::NodeData> ReadNode(const TestFlags& flags) {
  target::NodeData node;
  node.identity_value = flags.identity;
  node.actions_value = flags.actions;
  std::sort(node.actions_value.begin(), node.actions_value.end());
  if (!flags.facts_file.empty()) {
    absl::StatusOr<std::string> text = base::ReadFile(flags.facts_file, kFactsFileMax);
    if (!text.ok()) return text.status();
    node.facts_value = nlohmann::json::parse(*text, nullptr, false);
    if (!node.facts_value.is_object()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--facts ", flags.facts_file, ": not a JSON object"));
    }
  }
  if (!flags.classes_file.empty()) {
    absl::StatusOr<std::string> text = base::ReadFile(flags.classes_file, kFactsFileMax);
    if (!text.ok()) return text.status();
    for (absl::string_view line : absl::StrSplit(*text, '\n')) {
      line = absl::StripAsciiWhitespace(line);
      if (!line.empty()) node.classes_value.emplace_back(line);
    }
    std::sort(node.classes_value.begin(), node.classes_value.end());
  }
  return node;
}

int TestTarget(Session& session, const TestFlags& flags) {
  const absl::StatusOr<orch::v1::Target> proto = flags.target.Build();
  if (!proto.ok()) return Fail(session, proto.status());
  const absl::StatusOr<target::NodeData> node = ReadNode(flags);
  if (!node.ok()) return Fail(session, node.status());
  const auto target = target::Target::Compile(*proto);
  if (!target.ok()) return Fail(session, target.status());
  const target::Match match = target->Evaluate(*node);
  const bool yes = match.truth == target::Truth::kTrue;
  session.terminal.out << (yes ? "match" : "no match")
                       << (match.why.empty() ? "" : absl::StrCat(": ", Safe(match.why)))
                       << std::endl;
  return yes ? kExitOk : kExitNothing;
}

int ExplainError(Session& session, const std::string& reason) {
  const std::string text = ExplainReason(reason);
  if (text.empty()) {
    return Fail(session, absl::InvalidArgumentError(absl::StrCat("no such reason `", reason,
                                                                 "`; there are ", KnownReasons())));
  }
  session.terminal.out << text << std::endl;
  return kExitOk;
}

}  // namespace

void AddPolicyCommands(CLI::App& app, Session& session) {
  CLI::App* policy = app.add_subcommand("policy", "who may do what");
  policy->require_subcommand(1);
  auto path = std::make_shared<std::string>();
  CLI::App* check =
      policy->add_subcommand("check", "read a policy.yaml or a directory of ActionPolicy files");
  check->add_option("path", *path)->required();
  check->callback(
      [&session, path] { session.run = [&session, path] { return CheckPolicy(session, *path); }; });

  CLI::App* lint = policy->add_subcommand(
      "lint", "where ActionPolicy files mean something else here than they did");
  lint->add_option("directory", *path)->required();
  lint->callback(
      [&session, path] { session.run = [&session, path] { return LintPolicy(session, *path); }; });

  CLI::App* explain = app.add_subcommand("explain", "why something is as it is");
  explain->require_subcommand(1);
  for (CLI::App* parent : {policy, explain}) {
    auto flags = std::make_shared<ExplainFlags>();
    CLI::App* sub = parent->add_subcommand(parent == policy ? "explain" : "policy",
                                           "which rule decides, and why");
    sub->add_option("--caller", flags->caller, "a principal such as cert=operator; default myself");
    sub->add_option("--action", flags->action, "the action or API verb")->capture_default_str();
    sub->add_option("arguments", flags->words, "key=value arguments of the action");
    flags->target.AddTo(sub);
    sub->callback([&session, flags] {
      session.run = [&session, flags] { return ExplainPolicy(session, *flags); };
    });
  }
  auto target_flags = std::make_shared<TargetFlags>();
  auto node = std::make_shared<std::string>();
  CLI::App* explain_target =
      explain->add_subcommand("target", "a target in words, with how many nodes are left");
  target_flags->AddTo(explain_target);
  explain_target->add_option("--node", *node, "say why this node matches or not");
  explain_target->callback([&session, target_flags, node] {
    session.run = [&session, target_flags, node] {
      return ExplainTarget(session, *target_flags, *node);
    };
  });
  auto reason = std::make_shared<std::string>();
  CLI::App* explain_error = explain->add_subcommand("error", "what an error's reason means");
  explain_error->add_option("reason", *reason, "for example POLICY_DENIED")->required();
  explain_error->callback([&session, reason] {
    session.run = [&session, reason] { return ExplainError(session, *reason); };
  });

  CLI::App* target = app.add_subcommand("target", "try the target language");
  target->require_subcommand(1);
  auto test_flags = std::make_shared<TestFlags>();
  CLI::App* test = target->add_subcommand(
      "test", "does a target match a node described by files? needs no controller");
  test_flags->target.AddTo(test);
  test->add_option("--facts", test_flags->facts_file, "a JSON object of facts");
  test->add_option("--classes", test_flags->classes_file, "classes, one a line");
  test->add_option("--identity", test_flags->identity, "the node's identity")
      ->capture_default_str();
  test->add_option("--action", test_flags->actions, "an action that the node offers")->take_all();
  test->callback([&session, test_flags] {
    session.run = [&session, test_flags] { return TestTarget(session, *test_flags); };
  });
}

}  // namespace orch::cli
