// SPDX-License-Identifier: Apache-2.0
// orchctl: wires the command tree, the terminal and the exit code; decides nothing.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <iostream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/log.h"
#include "base/telemetry/protobuf_log.h"
#include "base/version.h"
#include "cli/completion.h"
#include "cli/contexts.h"
#include "cli/failure.h"
#include "cli/grid.h"
#include "cli/options.h"
#include "cli/render.h"
#include "cli/suggest.h"
#include "cli/tree.h"

namespace orch::cli {
namespace {

// Asked of the environment, as setlocale fails where the locale was never generated.
bool IsUtf8Locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string locale = absl::AsciiStrToLower(value);
    return absl::StrContains(locale, "utf-8") || absl::StrContains(locale, "utf8");
  }
  return false;
}

Terminal TheTerminal() {
  Terminal terminal{std::cout, std::cerr};
  terminal.out_is_tty = isatty(STDOUT_FILENO) != 0;
  // A dumb terminal can't go back in its line: it gets the plain progress of a file.
  const char* term = std::getenv("TERM");
  terminal.err_is_tty =
      isatty(STDERR_FILENO) != 0 && term != nullptr && std::string(term) != "dumb";
  terminal.can_ask = isatty(STDIN_FILENO) != 0 && isatty(STDERR_FILENO) != 0;
  terminal.unicode = IsUtf8Locale() && (term == nullptr || std::string(term) != "dumb");
  winsize size = {};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.width = size.ws_col;
  return terminal;
}

bool WantsColor(const GlobalOptions& options, const Terminal& terminal) {
  if (options.color != "auto") return options.color == "always";
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  return terminal.out_is_tty && (no_color == nullptr || *no_color == '\0') && term != nullptr &&
         std::string(term) != "dumb";
}

// Whether --sort-by is of use to the command that was named, and names columns that it has.
absl::Status CheckSortBy(const CLI::App& app, const Session& session) {
  if (session.options.sort_by.empty()) return absl::OkStatus();
  const CLI::App* command = &app;
  std::string path = "orchctl";
  for (auto subs = command->get_subcommands(); !subs.empty(); subs = command->get_subcommands()) {
    command = subs[0];
    absl::StrAppend(&path, " ", command->get_name());
  }
  const auto known = session.sort_keys.find(command);
  if (known == session.sort_keys.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--sort-by: `", path, "` has no rows that could be sorted"));
  }
  if (known->second.empty()) return absl::OkStatus();
  return ParseSortBy(session.options.sort_by, known->second).status();
}

// A key was pressed: whatever takes longer than this is not offered.
constexpr useconds_t kOfferWithinMicros = 300'000;

void OfferWords(const CLI::App& app, const Session& session, const std::vector<std::string>& words,
                bool described) {
  std::string context;
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--context") context = words[i + 1];
  }
  ControllerNames names(context);
  std::signal(SIGALRM, [](int) { _exit(kExitOk); });
  ualarm(kOfferWithinMicros, 0);
  for (const Candidate& candidate : Complete(app, session.sort_keys, words, &names)) {
    std::cout << candidate.word;
    if (described && !candidate.about.empty()) std::cout << '\t' << candidate.about;
    std::cout << '\n';
  }
  std::cout.flush();
  // Not through the ends of threads that may still wait for a connection.
  _exit(kExitOk);
}

int CheckConfig() {
  const absl::StatusOr<Config> config = LoadConfig();
  if (!config.ok()) {
    std::cerr << "orchctl: " << config.status().message() << std::endl;
    return kExitUsage;
  }
  std::cout << ConfigPath() << ": ok" << std::endl;
  return kExitOk;
}

int Main(int argc, char** argv) {
  // gRPC's own log lines are not for operators; what went wrong is said in our words.
  setenv("GRPC_VERBOSITY", "NONE", 0);
  Session session{GlobalOptions(), TheTerminal(), nullptr};
  CLI::App app("orchctl: push Puppet runs to a fleet, and see what became of them", "orchctl");
  app.set_version_flag("--version", absl::StrCat("orchctl ", base::kVersion));
  bool check_config = false;
  app.add_flag("--check-config", check_config, "check the configuration file and exit");
  AddCommands(app, session);

  if (argc >= 2 && (std::string(argv[1]) == "__complete" || std::string(argv[1]) == "__describe")) {
    OfferWords(app, session, std::vector<std::string>(argv + 2, argv + argc),
               /*described=*/std::string(argv[1]) == "__describe");
    return kExitOk;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app.exit(error);
      std::cout.flush();
      return std::cout ? kExitOk : kExitInternal;
    }
    std::cerr << "orchctl: "
              << Misunderstood(app, std::vector<std::string>(argv + 1, argv + argc), error.what())
              << std::endl;
    return kExitUsage;
  }
  session.terminal.color = WantsColor(session.options, session.terminal);
  base::SetUpLog("orchctl",
                 session.options.verbose ? base::LogLevel::kInfo : base::LogLevel::kError,
                 base::LogFormat::kText);
  base::SetUpProtobufLog();
  if (check_config) return CheckConfig();
  if (session.run == nullptr) {
    std::cout << app.help();
    return argc == 1 ? kExitOk : kExitUsage;
  }
  if (!session.options.timeout.empty()) {
    const auto timeout = base::ParseDuration(session.options.timeout);
    if (!timeout.ok() || *timeout <= absl::ZeroDuration()) {
      std::cerr << "orchctl: --timeout " << session.options.timeout
                << ": expected a duration above 0 such as 90s, 5m or 1h30m" << std::endl;
      return kExitUsage;
    }
  }
  if (const absl::Status taken = CheckJobFlags(app); !taken.ok()) return Fail(session, taken);
  if (const absl::Status sortable = CheckSortBy(app, session); !sortable.ok())
    return Fail(session, sortable);
  int code = kExitInternal;
  try {
    code = session.run();
  } catch (const Unprintable& error) {
    std::cerr << "orchctl: print the answer: " << error.what() << std::endl;
  }
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "orchctl: writing to standard output failed" << std::endl;
    return kExitInternal;
  }
  return code;
}

}  // namespace

}  // namespace orch::cli

int main(int argc, char** argv) { return orch::cli::Main(argc, argv); }
