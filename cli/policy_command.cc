// SPDX-License-Identifier: Apache-2.0
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <ostream>
#include <vector>

#include "absl/strings/str_cat.h"
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

namespace orch::cli {
namespace {

bool IsDirectory(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

absl::StatusOr<std::vector<policy::Finding>> LintAny(const std::string& path) {
  return IsDirectory(path) ? policy::LintActionPolicyDirectory(path) : policy::LintNativeFile(path);
}

// All that is wrong, where it is the content; else the one error.
int TellMistakes(Session& session, const std::string& path, const absl::Status& status) {
  const auto findings = LintAny(path);
  std::vector<policy::Finding> refused;
  if (findings.ok()) {
    std::copy_if(findings->begin(), findings->end(), std::back_inserter(refused),
                 [](const policy::Finding& finding) { return finding.refused; });
  }
  for (size_t i = 1; i < refused.size(); ++i) {
    session.terminal.err << refused[i].file << ":" << refused[i].line << ": "
                         << Safe(absl::StripPrefix(refused[i].what, "refused: ")) << "\n";
  }
  return Fail(session, status);
}

int CheckPolicy(Session& session, const std::string& path) {
  const auto policy = IsDirectory(path) ? policy::Policy::LoadActionPolicyDirectory(path)
                                        : policy::Policy::LoadNative(path);
  if (!policy.ok()) return TellMistakes(session, path, policy.status());
  for (const auto& [file, marked] : (*policy)->Ends()) {
    if (marked || session.options.quiet) continue;
    session.terminal.err << file
                         << ": its end is not marked: if it is cut at the end of a line, what "
                            "is left is a policy too; add "
                         << (IsDirectory(path) ? "`# end` as the last line"
                                               : "`end: true` at the end")
                         << std::endl;
  }
  session.terminal.out << path << ": ok" << std::endl;
  return kExitOk;
}

int LintPolicy(Session& session, const std::string& path) {
  const auto findings = LintAny(path);
  if (!findings.ok()) return Fail(session, findings.status());
  for (const policy::Finding& finding : *findings) {
    session.terminal.out << finding.file << ":" << finding.line << ": "
                         << (finding.refused   ? "refused: "
                             : finding.error   ? "error: "
                             : finding.useless ? "useless: "
                                               : "differs: ")
                         << Safe(absl::StripPrefix(finding.what, "refused: ")) << "\n";
  }
  session.terminal.out.flush();
  if (!session.options.quiet) {
    session.terminal.err << path << ": " << findings->size()
                         << (findings->size() == 1 ? " finding" : " findings") << std::endl;
  }
  return findings->empty() ? kExitOk : kExitNothing;
}

struct ExplainFlags {
  TargetFlags target;
  std::string caller, action = "puppet.run", policy;
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
  if (!flags.policy.empty()) {
    if (IsDirectory(flags.policy)) {
      return Fail(session,
                  absl::InvalidArgumentError(absl::StrCat(
                      "--policy ", flags.policy, ": a policy.yaml is expected, not a directory")));
    }
    absl::StatusOr<std::string> text = base::ReadFile(flags.policy);
    if (!text.ok()) return Fail(session, text.status());
    if (text->empty()) {
      return Fail(session, absl::InvalidArgumentError(
                               absl::StrCat("--policy ", flags.policy, ": is empty")));
    }
    // Its mistakes are told with the file's own name, and all of them.
    const auto local = policy::Policy::LoadNative(flags.policy);
    if (!local.ok()) return TellMistakes(session, flags.policy, local.status());
    request.set_candidate(*std::move(text));
  }
  absl::StatusOr<orch::v1::Target> target = flags.target.Build();
  if (!target.ok()) return Fail(session, target.status());
  *request.mutable_target() = *std::move(target);
  const absl::StatusOr<std::vector<std::string>> nodes = flags.target.Nodes();
  if (!nodes.ok()) return Fail(session, nodes.status());
  request.mutable_nodes()->Assign(nodes->begin(), nodes->end());
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
                         << response->allowed_nodes()
                         << (response->allowed_nodes() == 1 ? " node" : " nodes") << " allowed, "
                         << response->denied_nodes() << " denied" << std::endl;
  }
  return response->effect() == orch::v1::POLICY_EFFECT_DENY ? kExitNothing : kExitOk;
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
      "lint", "lines that do nothing, or mean something else here than they did in ActionPolicy");
  lint->add_option("path", *path)->required();
  lint->callback(
      [&session, path] { session.run = [&session, path] { return LintPolicy(session, *path); }; });

  CLI::App* explain = app.add_subcommand("explain", "explain a decision, a target or an error");
  explain->require_subcommand(1);
  for (CLI::App* parent : {policy, explain}) {
    auto flags = std::make_shared<ExplainFlags>();
    CLI::App* sub = parent->add_subcommand(parent == policy ? "explain" : "policy",
                                           "which rule decides, and why");
    sub->add_option("--caller", flags->caller, "a principal such as cert=operator; default myself");
    sub->add_option("--action", flags->action, "the action or API verb")->capture_default_str();
    sub->add_option("--policy", flags->policy,
                    "decide by this policy.yaml instead of the one in force: to try it first");
    sub->add_option("arguments", flags->words, "key=value arguments of the action");
    flags->target.AddTo(sub);
    sub->callback([&session, flags] {
      session.run = [&session, flags] { return ExplainPolicy(session, *flags); };
    });
  }
  auto reason = std::make_shared<std::string>();
  CLI::App* explain_error = explain->add_subcommand("error", "what an error's reason means");
  explain_error->add_option("reason", *reason, "for example POLICY_DENIED")->required();
  explain_error->callback([&session, reason] {
    session.run = [&session, reason] { return ExplainError(session, *reason); };
  });
}

}  // namespace orch::cli
