// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "cli/config.pb.h"

// What every command is given: the global flags, the terminal, and the exit codes
// (docs/orchctl.md).

namespace CLI {
class App;
}

namespace orch::cli {

// Exit codes. None is 0 when something that was asked for did not happen.
enum ExitCode {
  kExitOk = 0,
  kExitNothing = 1,      // nothing matched, or a check said no
  kExitFailed = 2,       // a node failed, was refused or denied
  kExitNoAnswer = 3,     // a node gave no answer
  kExitUnreachable = 4,  // controller or broker
  kExitDenied = 5,
  kExitStopped = 6,  // cancelled, deadline, or stopped by max-failures
  kExitUsage = 64,
  kExitInternal = 70,
  kExitInterrupted = 130,
};

enum class Output { kTable, kWide, kJson, kJsonl, kYaml, kName };

struct GlobalOptions {
  std::string context;  // flag › ORCHCTL_* › file, resolved in ResolveContext
  std::string server, ca, cert, key, server_name;
  bool insecure_loopback = false;
  std::string timeout;  // `90s`
  std::string output = "table";
  bool no_headers = false;
  std::string sort_by;
  bool quiet = false;
  bool verbose = false;
  std::string color = "auto";
  bool no_progress = false;
  bool no_input = false;
  bool yes = false;
  uint32_t expect_nodes = 0;
  uint32_t at_most = 0;
  bool dry_run = false;
  std::string idempotency_key;
  std::string tolerate;
  std::string reason;
};

// Where output goes. Data on `out`, everything else on `err`.
struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool out_is_tty = false;
  bool err_is_tty = false;
  // Whether somebody is there who can be asked and can answer.
  bool can_ask = false;
  bool color = false;
  // The locale is UTF-8 and the terminal not a dumb one.
  bool unicode = false;
  int width = 100;
};

// What parsing the command line fills in; `run` does the command that was named.
struct Session {
  GlobalOptions options;
  Terminal terminal;
  std::function<int()> run;
  // By command, what --sort-by may name. An empty list: the command knows that only while it runs.
  // Commands that are not in it have nothing to sort.
  std::map<const CLI::App*, std::vector<std::string>> sort_keys = {};
};

Output OutputOf(const GlobalOptions& options);

}  // namespace orch::cli
