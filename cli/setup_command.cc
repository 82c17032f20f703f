// SPDX-License-Identifier: Apache-2.0

// `doctor` walks the way that a call takes, from the configuration file over certificates and the
// controller to the nodes, and stops where going on would only repeat the same failure: the first
// FAIL is the one to mend. It asks the nodes over the bus, because a controller that answers and a
// roster that looks well prove nothing of the way behind it. Its verdicts go to standard output in
// every format, since they are its data.

#include <algorithm>
#include <map>
#include <memory>
#include <ostream>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "base/version.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/contexts.h"
#include "cli/failure.h"
#include "cli/follow.h"
#include "cli/grid.h"
#include "cli/man.h"
#include "cli/node_text.h"
#include "cli/output.pb.h"
#include "cli/render.h"
#include "trust/identity.h"

namespace orch::cli {
namespace {

// So long all nodes may take to answer.
constexpr absl::Duration kDiscoverMax = absl::Seconds(15);
// Names in one line.
constexpr size_t kNamesShown = 5;
// Requests and beacons are only taken with clocks that agree so far, and some reserve.
constexpr int64_t kClockSkewShownSeconds = 10;

bool IsJson(Output output) {
  return output == Output::kJson || output == Output::kJsonl || output == Output::kYaml;
}

// Prints one check after the other and remembers the worst.
class Checks {
 public:
  explicit Checks(Session& session)
      : terminal_(session.terminal), output_(OutputOf(session.options)) {}
  void Good(const std::string& what) { Line(Color::kGreen, "ok", what, ""); }
  void Warn(const std::string& what, const std::string& hint) {
    Line(Color::kYellow, "warn", what, hint);
  }
  void Bad(const std::string& what, const std::string& hint) {
    Line(Color::kRed, "FAIL", what, hint);
    failed_ = true;
  }
  // Call it once, at the end: the whole as JSON is printed here.
  int Exit() const {
    if (output_ == Output::kJsonl) {
      for (const DoctorCheck& check : report_.checks()) terminal_.out << Serialized(check, output_);
    } else if (IsJson(output_)) {
      terminal_.out << Serialized(report_, output_);
    }
    terminal_.out.flush();
    return failed_ ? kExitNothing : kExitOk;
  }

 private:
  void Line(Color color, const std::string& word, const std::string& what,
            const std::string& hint) {
    DoctorCheck& check = *report_.add_checks();
    check.set_verdict(absl::AsciiStrToLower(word));
    check.set_message(Safe(what));
    check.set_hint(hint);
    if (IsJson(output_)) return;
    terminal_.out << Paint(terminal_, color, Padded(word, 4)) << "  " << Safe(what) << "\n";
    if (!hint.empty()) terminal_.out << "      " << hint << "\n";
    terminal_.out.flush();
  }
  Terminal& terminal_;
  const Output output_;
  DoctorReport report_;
  bool failed_ = false;
};

bool CheckCertificate(const Context& context, Checks& checks) {
  trust::TrustConfig config;
  config.set_certificate(context.cert());
  config.set_private_key(context.key());
  config.set_ca(context.ca());
  config.set_no_crl(true);
  const auto credentials = trust::Credentials::Load(config, absl::Now());
  if (!credentials.ok()) {
    checks.Bad(std::string(credentials.status().message()), "");
    return false;
  }
  const trust::Peer& self = (*credentials)->self();
  const absl::Duration left = self.not_after - absl::Now();
  const std::string what =
      absl::StrCat("certificate ", context.cert(), ": CN ", self.common_name, ", role ",
                   trust::RoleName(self.role), ", ends in ", Age(left));
  if (left < kCertificateEndsSoon) {
    checks.Warn(what, "renew it before it ends");
  } else {
    checks.Good(what);
  }
  if (self.role != trust::Role::kUser) {
    checks.Warn(
        "the certificate does not say orch-user",
        "the controller accepts it only if its configuration makes users of its CA or of its "
        "fingerprint (docs/security.md)");
  }
  return true;
}

// `web1, web2 and 7 more`
std::string SomeNames(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    absl::StrAppend(&text, i == 0 ? "" : ", ", names[i]);
  }
  if (names.size() > kNamesShown)
    absl::StrAppend(&text, " and ", names.size() - kNamesShown, " more");
  return text;
}

std::string NodesWord(size_t count) { return absl::StrCat(count, count == 1 ? " node" : " nodes"); }

// What the roster says: who is away, whose clock is off, who refuses to obey this controller.
void CheckFleet(Connection& connection, const std::string& controller, Checks& checks) {
  orch::v1::ListNodesRequest request;
  request.set_page_size(1000);
  for (const char* field : {"identity", "state", "clock_skew", "controller_refusals"}) {
    request.mutable_read_mask()->add_paths(field);
  }
  size_t present = 0;
  std::vector<std::string> stale, gone, skewed;
  std::map<std::string, std::vector<std::string>> refusing;  // by reason
  do {
    const auto response = connection.Call(request);
    if (!response.ok()) {
      checks.Warn(absl::StrCat("nodes: ", response.status().message()), "");
      return;
    }
    for (const auto& node : response->nodes()) {
      present += node.state() == orch::v1::ROSTER_STATE_PRESENT;
      if (node.state() == orch::v1::ROSTER_STATE_STALE) stale.push_back(node.identity());
      if (node.state() == orch::v1::ROSTER_STATE_GONE) gone.push_back(node.identity());
      const int64_t skew = std::abs(node.clock_skew().seconds());
      if (skew > kClockSkewShownSeconds) {
        skewed.push_back(absl::StrCat(node.identity(), " by ", skew, " s"));
      }
      for (const auto& refusal : node.controller_refusals()) {
        if (refusal.controller() == controller) {
          refusing[refusal.reason()].push_back(node.identity());
        }
      }
    }
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  const std::string what = absl::StrCat("nodes: ", present, " present, ", stale.size(), " stale, ",
                                        gone.size(), " gone");
  if (present == 0) {
    checks.Warn(what, "on a node: orch-nodeagent doctor");
  } else {
    checks.Good(what);
  }
  if (!stale.empty()) {
    checks.Warn(absl::StrCat("stale, not heard of for too long: ", SomeNames(stale)),
                "on the node: systemctl status orch-nodeagent; orch-nodeagent doctor");
  }
  if (!gone.empty()) {
    checks.Warn(absl::StrCat("gone, the agent was stopped: ", SomeNames(gone)),
                "on the node: systemctl start orch-nodeagent");
  }
  if (!skewed.empty()) {
    checks.Warn(absl::StrCat("clocks are off: ", SomeNames(skewed)),
                "on the node: is its time synchronised? more than 30 s lose requests");
  }
  for (const auto& [reason, nodes] : refusing) {
    checks.Warn(absl::StrCat(NodesWord(nodes.size()), " refuse", nodes.size() == 1 ? "s" : "",
                             " this controller: ", SomeNames(nodes), ": ", reason),
                absl::StrCat("on the node: is `", controller,
                             "` in controllers: of nodeagent.yaml? orch-nodeagent status"));
  }
}

// Asks all nodes over the bus: whether the controller reaches them, and if not why.
void CheckBus(Connection& connection, Checks& checks) {
  const absl::Time begin = absl::Now();
  const std::unique_ptr<NodeStream> stream = connection.Discover(orch::v1::DiscoverNodesRequest());
  size_t answers = 0;
  std::vector<std::string> silent;
  bool in_time = true;
  for (auto got = NodeStream::Got::kNothingYet; got != NodeStream::Got::kEnd;) {
    orch::v1::DiscoverNodesResponse response;
    got = stream->Next(absl::Seconds(1), &response);
    answers += static_cast<size_t>(response.nodes_size());
    for (const auto& node : response.silent()) silent.push_back(node.identity());
    if (in_time && absl::Now() - begin > kDiscoverMax) {
      in_time = false;
      stream->Cancel();
    }
  }
  const absl::Status& status = stream->status();
  const std::string what =
      absl::StrCat("bus: ", NodesWord(answers), " answered within ", Age(absl::Now() - begin),
                   silent.empty() ? "" : absl::StrCat("; no answer from ", SomeNames(silent)));
  if (!in_time) {
    return checks.Warn(absl::StrCat(what, "; the controller did not come to an end"),
                       "is the broker hung? its own log, and `orchctl broker check` tell");
  }
  if (status.ok()) {
    if (silent.empty()) return checks.Good(what);
    return checks.Warn(what, "on the node: orch-nodeagent doctor");
  }
  const std::string why = absl::StrCat("bus: ", status.message());
  if (!absl::IsUnavailable(status)) return checks.Warn(why, "");
  checks.Bad(why, "jobs are refused until the controller is connected again; it tries by itself");
}

// What to do about a controller that could not be asked.
std::string HintFor(const absl::Status& status) {
  const absl::string_view why = status.message();
  if (absl::StrContains(why, "revoked")) {
    return "this certificate is revoked: have a new one issued (docs/security.md)";
  }
  if (absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status)) {
    return "the controller is there, but does not accept this certificate: its role must be "
           "orch-user, or controller.yaml must make users of its CA (grpc.roles, docs/security.md)";
  }
  if (absl::StrContains(why, "certificate")) {
    return "is `ca` of the context the CA of the controller's certificate, and `server_name` a "
           "name "
           "in it?";
  }
  return "is orch-controller running there, and are host and port right? its log tells why it does "
         "not answer";
}

int Doctor(Session& session) {
  Checks checks(session);
  const absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) {
    checks.Bad(std::string(config.status().message()), "");
    return checks.Exit();
  }
  checks.Good(absl::StrCat("configuration ", ConfigPath(), ": ", config->contexts().size(),
                           config->contexts().size() == 1 ? " context" : " contexts"));
  const absl::StatusOr<Context> context = ResolveContext(session.options);
  if (!context.ok()) {
    checks.Bad(std::string(context.status().message()), "");
    return checks.Exit();
  }
  if (context->insecure_loopback()) {
    checks.Warn("insecure loopback: no TLS, the caller is local=insecure", "");
  } else if (!CheckCertificate(*context, checks)) {
    return checks.Exit();
  }
  const auto connection = Connection::Open(*context);
  if (!connection.ok()) {
    checks.Bad(std::string(connection.status().message()), "");
    return checks.Exit();
  }
  const absl::Time before = absl::Now();
  const auto who = (*connection)->Call(orch::v1::WhoAmIRequest());
  if (!who.ok()) {
    checks.Bad(absl::StrCat("controller ", context->server(), ": ", who.status().message()),
               HintFor(who.status()));
    return checks.Exit();
  }
  checks.Good(absl::StrCat(
      "controller ", who->controller(), " ", who->version(), " at ", context->server(),
      " answers in ", Age(absl::Now() - before), "; I am ", who->caller(),
      who->groups().empty() ? "" : absl::StrCat(" in ", absl::StrJoin(who->groups(), ", "))));
  if (who->version() != base::kVersion) {
    checks.Warn(
        absl::StrCat("this orchctl is ", base::kVersion, ", the controller ", who->version()),
        "newer flags may be unknown to an older controller");
  }
  for (const std::string& problem : who->problems()) {
    checks.Bad(absl::StrCat("controller: ", problem), "its log and /readyz tell more");
  }
  CheckFleet(**connection, who->controller(), checks);
  CheckBus(**connection, checks);
  return checks.Exit();
}

int ListContexts(Session& session) {
  const absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) return Fail(session, config.status());
  std::vector<std::string> names;
  for (const auto& [name, context] : config->contexts()) names.push_back(name);
  std::sort(names.begin(), names.end());
  Grid grid({"", "CONTEXT", "SERVER", "CERT"});
  for (const std::string& name : names) {
    const Context& context = config->contexts().at(name);
    grid.Add(
        {name == config->current_context() ? "*" : "", name, context.server(), context.cert()});
  }
  const absl::Status sorted = grid.SortBy(session.options.sort_by);
  if (!sorted.ok()) return Fail(session, sorted);
  std::ostream& out = session.terminal.out;
  const Output output = OutputOf(session.options);
  if (IsJson(output)) {
    out << Serialized(*config, output);
  } else if (output == Output::kName) {
    for (size_t i = 0; i < names.size(); ++i) out << grid.Row(i)[1] << "\n";
  } else {
    if (!names.empty())
      PrintCut(session, grid.Print(!session.options.no_headers, grid.headers().size()));
    if (names.empty()) {
      session.terminal.err
          << "no context yet: orchctl context set NAME --server HOST:PORT --ca FILE "
             "--cert FILE --key FILE"
          << std::endl;
    }
  }
  out.flush();
  return names.empty() ? kExitNothing : kExitOk;
}

// What commands use now: flags, environment and file together.
int ShowContext(Session& session) {
  const absl::StatusOr<Context> context = ResolveContext(session.options);
  if (!context.ok()) return Fail(session, context.status());
  const absl::StatusOr<Config> config = LoadConfig();
  const Output output = OutputOf(session.options);
  if (IsJson(output)) {
    session.terminal.out << Serialized(*context, output) << std::flush;
    return kExitOk;
  }
  const std::string name = !session.options.context.empty() ? session.options.context
                           : config.ok()                    ? config->current_context()
                                                            : "";
  const std::pair<const char*, std::string> lines[] = {
      {"context", name.empty() ? "(none: flags and environment)" : name},
      {"server", context->server()},
      {"name", context->server_name()},
      {"ca", context->ca()},
      {"cert", context->cert()},
      {"key", context->key()}};
  for (const auto& [label, value] : lines) {
    if (!value.empty()) session.terminal.out << Padded(label, 9) << Safe(value) << "\n";
  }
  session.terminal.out.flush();
  return kExitOk;
}

int WhoAmI(Session& session) {
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  const auto who = (*connection)->Call(orch::v1::WhoAmIRequest());
  if (!who.ok()) return Fail(session, who.status());
  const Output output = OutputOf(session.options);
  if (IsJson(output)) {
    session.terminal.out << Serialized(*who, output) << std::flush;
    return kExitOk;
  }
  session.terminal.out << Safe(who->caller())
                       << (who->groups().empty()
                               ? ""
                               : absl::StrCat(" in ", Safe(absl::StrJoin(who->groups(), ", "))));
  if (output != Output::kName) {
    session.terminal.out << ", at " << Safe(who->controller()) << " " << Safe(who->version());
  }
  session.terminal.out << std::endl;
  return kExitOk;
}

int SetContext(Session& session, const std::string& name) {
  absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) return Fail(session, config.status());
  Context& context = (*config->mutable_contexts())[name];
  const GlobalOptions& o = session.options;
  if (!o.server.empty()) context.set_server(o.server);
  if (!o.ca.empty()) context.set_ca(KeptPath(o.ca));
  if (!o.cert.empty()) context.set_cert(KeptPath(o.cert));
  if (!o.key.empty()) context.set_key(KeptPath(o.key));
  if (!o.server_name.empty()) context.set_server_name(o.server_name);
  if (o.insecure_loopback) context.set_insecure_loopback(true);
  if (context.server().empty()) {
    return Fail(session, absl::InvalidArgumentError("context set: --server HOST:PORT is missing"));
  }
  if (const absl::Status server = CheckServer(context.server()); !server.ok())
    return Fail(session, server);
  if (name.empty() ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
          std::string::npos) {
    return Fail(session,
                absl::InvalidArgumentError(absl::StrCat(
                    "context set: `", Safe(name), "`: a name has letters, digits, . _ and -")));
  }
  if (config->current_context().empty()) config->set_current_context(name);
  const absl::Status saved = SaveConfig(*config);
  if (!saved.ok()) return Fail(session, saved);
  session.terminal.err << "context " << name << " is in " << ConfigPath() << std::endl;
  return kExitOk;
}

int UseContext(Session& session, const std::string& name, bool remove) {
  absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) return Fail(session, config.status());
  if (config->contexts().find(name) == config->contexts().end()) {
    return Fail(session,
                absl::InvalidArgumentError(absl::StrCat("there is no context `", name, "`")));
  }
  if (remove) {
    config->mutable_contexts()->erase(name);
    if (config->current_context() == name) config->clear_current_context();
  } else {
    config->set_current_context(name);
  }
  const absl::Status saved = SaveConfig(*config);
  if (!saved.ok()) return Fail(session, saved);
  session.terminal.err << (remove ? absl::StrCat("context ", name, " is forgotten")
                                  : absl::StrCat("now ", name, ": ",
                                                 config->contexts().at(name).server()))
                       << std::endl;
  return kExitOk;
}

}  // namespace

void AddSetupCommands(CLI::App& app, Session& session) {
  app.add_subcommand("doctor", "check configuration, certificate, controller and fleet")
      ->callback([&session] { session.run = [&session] { return Doctor(session); }; });

  app.add_subcommand("whoami", "who the controller takes me for")->callback([&session] {
    session.run = [&session] { return WhoAmI(session); };
  });

  CLI::App* context = app.add_subcommand("context", "which controller, as whom");
  context->require_subcommand(1);
  CLI::App* list = context->add_subcommand("list", "all contexts");
  session.sort_keys[list] = {"context", "server", "cert"};
  list->callback([&session] { session.run = [&session] { return ListContexts(session); }; });
  context->add_subcommand("show", "what commands use now: flags, environment and file together")
      ->callback([&session] { session.run = [&session] { return ShowContext(session); }; });
  auto name = std::make_shared<std::string>();
  CLI::App* set =
      context->add_subcommand("set", "make or change a context from --server --ca --cert --key");
  set->add_option("name", *name)->required();
  set->callback(
      [&session, name] { session.run = [&session, name] { return SetContext(session, *name); }; });
  CLI::App* use = context->add_subcommand("use", "make a context the current one");
  use->add_option("name", *name)->required();
  use->callback([&session, name] {
    session.run = [&session, name] { return UseContext(session, *name, false); };
  });
  CLI::App* remove = context->add_subcommand("remove", "forget a context");
  remove->add_option("name", *name)->required();
  remove->callback([&session, name] {
    session.run = [&session, name] { return UseContext(session, *name, true); };
  });

  auto shell = std::make_shared<std::string>();
  CLI::App* completion = app.add_subcommand("completion", "a completion script for your shell");
  completion->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&session, shell] {
    session.run = [&session, shell] {
      session.terminal.out << CompletionScript(*shell) << std::flush;
      return kExitOk;
    };
  });

  app.add_subcommand("man", "the manual page, made for `man -l -`")->callback([&app, &session] {
    session.run = [&app, &session] {
      session.terminal.out << ManPage(app, base::kVersion) << std::flush;
      return kExitOk;
    };
  });

  app.add_subcommand("version", "the version of orchctl")->callback([&session] {
    session.run = [&session] {
      const Output output = OutputOf(session.options);
      VersionReport version;
      version.set_version(base::kVersion);
      session.terminal.out << (IsJson(output) ? Serialized(version, output)
                                              : absl::StrCat("orchctl ", base::kVersion, "\n"))
                           << std::flush;
      return kExitOk;
    };
  });
}

}  // namespace orch::cli
