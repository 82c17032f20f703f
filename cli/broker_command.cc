// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/failure.h"

namespace orch::cli {
namespace {

constexpr char kProgram[] = "orch-broker";

// Beside orchctl, where packages put it, or where the build puts it; empty if it is not there.
std::string BesideMe() {
  char path[4096];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof path);
  if (size <= 0 || size == sizeof path) return "";
  const absl::string_view me(path, static_cast<size_t>(size));
  for (const char* folder : {"", "../bus/"}) {
    const std::string out = absl::StrCat(me.substr(0, me.rfind('/') + 1), folder, kProgram);
    if (access(out.c_str(), X_OK) == 0) return out;
  }
  return "";
}

// Becomes `orch-broker check` with the same arguments: only that program speaks STOMP. Returns only
// if it can't.
int Become(Session& session, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {kProgram, "check"});
  const GlobalOptions& o = session.options;
  if (o.output != "table") arguments.insert(arguments.end(), {"--output", o.output});
  if (!o.ca.empty()) arguments.insert(arguments.end(), {"--ca", o.ca});
  if (!o.server_name.empty()) arguments.insert(arguments.end(), {"--server-name", o.server_name});
  if (!o.timeout.empty()) arguments.insert(arguments.end(), {"--timeout", o.timeout});
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  session.terminal.out.flush();
  session.terminal.err.flush();
  const std::string beside = BesideMe();
  if (!beside.empty()) execv(beside.c_str(), pointers.data());
  if (beside.empty()) execvp(kProgram, pointers.data());
  return Fail(session, absl::InvalidArgumentError(absl::StrCat(
                           "broker check: start ", beside.empty() ? kProgram : beside, ": ",
                           std::strerror(errno), "; it is looked for beside orchctl and in PATH")));
}

}  // namespace

void AddBrokerCommands(CLI::App& app, Session& session) {
  CLI::App* broker = app.add_subcommand("broker", "the message broker");
  broker->require_subcommand(1);
  CLI::App* check = broker->add_subcommand(
      "check", "try every permitted and every forbidden verb on it, as each role");
  check->allow_extras();
  // All flags behind it, also --help, are those of `orch-broker check`.
  check->fallthrough(false);
  check->set_help_flag();
  check->callback([&session, check] {
    session.run = [&session, check] { return Become(session, check->remaining()); };
  });
}

}  // namespace orch::cli
