// SPDX-License-Identifier: Apache-2.0

// The same Target that controller and nodes compile decides here, so a test of a target by files is
// the real thing and not an imitation. What nobody has been asked about must not look like an
// answer: without a controller `explain target` prints the words and says that nothing is counted,
// and nodes that decide for themselves are told apart from those that match.

#include <algorithm>
#include <memory>
#include <ostream>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/status.h"
#include "cli/commands.h"
#include "cli/contexts.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/node_files.h"
#include "cli/render.h"
#include "cli/target_flags.h"
#include "target/fact_formats.h"
#include "target/target.h"

namespace orch::cli {
namespace {

// What the target says, without a controller that could count nodes.
int PrintWords(Session& session, const orch::v1::Target& proto) {
  const auto target = target::Target::Compile(proto);
  if (!target.ok()) return Fail(session, target.status());
  if (target->empty()) session.terminal.out << "everybody of collective " << target->collective();
  for (size_t i = 0; i < target->clause_count(); ++i) {
    session.terminal.out << (i == 0 ? "" : "\nand ") << Safe(target->ClauseWords(i));
  }
  session.terminal.out << std::endl;
  if (!session.options.quiet) {
    session.terminal.err << "no controller is configured: nothing is counted" << std::endl;
  }
  return kExitOk;
}

std::string LeftWords(const orch::v1::TargetClause& clause) {
  const std::string left = absl::StrCat(clause.nodes_left(), " left");
  if (clause.nodes_unknown() == 0) return left;
  return absl::StrCat(left, ", ", clause.nodes_unknown(), " of them decide themselves");
}

int ExplainTarget(Session& session, const TargetFlags& flags, const std::string& node) {
  const absl::StatusOr<orch::v1::Target> target = flags.Build();
  if (!target.ok()) return Fail(session, target.status());
  orch::v1::ExplainTargetRequest request;
  *request.mutable_target() = *target;
  request.set_node(node);
  if (node.empty() && absl::IsFailedPrecondition(ResolveContext(session.options).status())) {
    return PrintWords(session, *target);
  }
  const absl::StatusOr<std::vector<std::string>> nodes = flags.Nodes();
  if (!nodes.ok()) return Fail(session, nodes.status());
  for (const std::string& name : *nodes) request.add_nodes(name);
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto response = (*connection)->Call(request);
  if (!response.ok()) return Fail(session, response.status());
  const int exit = node.empty() || response->matches() ? kExitOk : kExitNothing;
  const Output output = OutputOf(session.options);
  if (output != Output::kTable && output != Output::kWide) {
    session.terminal.out << Serialized(*response, output) << std::flush;
    return exit;
  }
  std::ostream& out = session.terminal.out;
  out << (nodes->empty() ? "nodes that are present: " : "named nodes that are present: ")
      << response->nodes() << "\n";
  int number = 0;
  for (const auto& clause : response->clauses()) {
    out << "  " << ++number << ". " << Safe(clause.words()) << ": " << LeftWords(clause) << "\n";
    if (!node.empty()) {
      out << "     " << (clause.node_matches() ? "holds on " : "does not hold on ") << node << ": "
          << Safe(clause.why()) << "\n";
    }
  }
  if (!node.empty()) out << Safe(response->verdict()) << "\n";
  out.flush();
  return exit;
}

struct TestFlags {
  TargetFlags target;
  std::string facts_file, classes_file, identity = "localhost";
  std::vector<std::string> actions, collectives = {"main"};
};

absl::StatusOr<target::NodeData> ReadNode(const TestFlags& flags) {
  if (flags.facts_file == "-" && flags.classes_file == "-") {
    return absl::InvalidArgumentError("--facts - and --classes -: only one can be standard input");
  }
  target::NodeData node;
  node.identity_value = flags.identity;
  node.actions_value = flags.actions;
  node.collectives_value = flags.collectives;
  std::sort(node.actions_value.begin(), node.actions_value.end());
  std::sort(node.collectives_value.begin(), node.collectives_value.end());
  if (!base::IsIdentity(flags.identity)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--identity ", flags.identity, ": not a node's identity"));
  }
  if (!flags.facts_file.empty()) {
    ORCH_ASSIGN_OR_RETURN(const std::string text, ReadInput(flags.facts_file));
    absl::StatusOr<nlohmann::json> facts = ParseFacts(flags.facts_file, text);
    if (!facts.ok()) {
      return base::Annotate(facts.status(), absl::StrCat("--facts ", flags.facts_file));
    }
    node.facts_value = *std::move(facts);
  }
  if (!flags.classes_file.empty()) {
    ORCH_ASSIGN_OR_RETURN(const std::string text, ReadInput(flags.classes_file));
    absl::StatusOr<std::vector<std::string>> classes = target::ParseClasses(text);
    if (!classes.ok()) {
      return absl::InvalidArgumentError(
          absl::StrCat("--classes ", flags.classes_file, ": ", classes.status().message()));
    }
    node.classes_value = *std::move(classes);
  }
  return node;
}

absl::string_view TruthWord(target::Truth truth) {
  switch (truth) {
    case target::Truth::kTrue:
      return "true";
    case target::Truth::kFalse:
      return "false";
    case target::Truth::kUnknown:
      break;
  }
  return "unknown";
}

int TestTarget(Session& session, const TestFlags& flags) {
  const absl::StatusOr<orch::v1::Target> proto = flags.target.Build();
  if (!proto.ok()) return Fail(session, proto.status());
  const absl::StatusOr<target::NodeData> node = ReadNode(flags);
  if (!node.ok()) return Fail(session, node.status());
  const absl::StatusOr<std::vector<std::string>> named = flags.target.Nodes();
  if (!named.ok()) return Fail(session, named.status());
  const auto target = target::Target::Compile(*proto);
  if (!target.ok()) return Fail(session, target.status());
  target::Match match = target->Evaluate(*node);
  if (!named->empty() && !std::binary_search(named->begin(), named->end(), flags.identity)) {
    match = {target::Truth::kFalse, "not one of the named nodes", false};
  }
  const bool yes = match.truth == target::Truth::kTrue;
  std::ostream& out = session.terminal.out;
  out << (yes ? "match" : "no match")
      << (match.why.empty() ? "" : absl::StrCat(": ", Safe(match.why))) << "\n";
  for (size_t i = 0; session.options.verbose && i < target->clause_count(); ++i) {
    out << "  " << i + 1 << ". " << Safe(target->ClauseWords(i)) << ": "
        << TruthWord(target->EvaluateClause(i, *node).truth) << ": "
        << Safe(target->ObserveClause(i, *node)) << "\n";
  }
  out.flush();
  return yes ? kExitOk : kExitNothing;
}

void AddExplainTarget(CLI::App& explain, Session& session) {
  auto flags = std::make_shared<TargetFlags>();
  auto node = std::make_shared<std::string>();
  CLI::App* command =
      explain.add_subcommand("target", "a target in words, with how many nodes each clause leaves");
  flags->AddTo(command);
  command->add_option("--node", *node, "say why this node matches or not")->type_name("NODE");
  command->callback([&session, flags, node] {
    session.run = [&session, flags, node] { return ExplainTarget(session, *flags, *node); };
  });
}

}  // namespace

void AddTargetCommands(CLI::App& app, Session& session) {
  AddExplainTarget(*app.get_subcommand("explain"), session);
  CLI::App* target = app.add_subcommand("target", "try the target language");
  target->require_subcommand(1);
  auto flags = std::make_shared<TestFlags>();
  CLI::App* test = target->add_subcommand(
      "test", "does a target match a node described by files? needs no controller");
  flags->target.AddTo(test);
  test->add_option("--facts", flags->facts_file, "facts, JSON or YAML; - is standard input")
      ->type_name("FILE");
  test->add_option("--classes", flags->classes_file, "classes, one a line; - is standard input")
      ->type_name("FILE");
  test->add_option("--identity", flags->identity, "the node's identity")
      ->capture_default_str()
      ->type_name("NODE");
  test->add_option("--actions,--action", flags->actions, "actions that the node offers, by commas")
      ->take_all()
      ->delimiter(',')
      ->type_name("LIST");
  test->add_option("--collectives", flags->collectives, "collectives that the node is in")
      ->take_all()
      ->delimiter(',')
      ->capture_default_str()
      ->type_name("LIST");
  test->callback([&session, flags] {
    session.run = [&session, flags] { return TestTarget(session, *flags); };
  });
}

}  // namespace orch::cli
