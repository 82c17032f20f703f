// SPDX-License-Identifier: Apache-2.0
#include "cli/man.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace orch::cli {
namespace {

// What the tree does not say. Exit codes as in options.h and docs/orchctl.md.
constexpr char kTargets[] =
    "A node is meant if all that is said is true of it: facts (-F path=value, also !=, <, >, "
    "=~/re/), "
    "classes (-C), actions (-A), identities (-I, of several one is enough), an expression (-S 'a "
    "and "
    "(b or not c)'). Names (words without a flag, --nodes, --group, --last-failed, --pql) narrow "
    "it "
    "further. Commands that change nodes want to be told which: without any of these they ask, or "
    "want --all. `orchctl explain target` counts what each clause leaves.\n";
constexpr char kEnd[] = R"(.SH OUTPUT
Data goes to standard output, everything else to standard error.
.B json
and
.B yaml
are the API's own messages as proto3 JSON with proto field names,
.B jsonl
one message a line as it comes.
.SH EXIT STATUS
.TP
.B 0
everything that was asked for happened
.TP
.B 1
nothing matched, or a check said no
.TP
.B 2
a node failed, refused or was denied
.TP
.B 3
nodes matched, but one gave no answer
.TP
.B 4
the controller or the broker can't be reached
.TP
.B 5
not permitted
.TP
.B 6
cancelled, deadline passed, or stopped by \-\-max\-failures
.TP
.B 64
wrong usage, or a confirmation that is missing
.TP
.B 70
a fault of orchctl or the controller
.TP
.B 130
detached with ^C; the job goes on
.SH ENVIRONMENT
.BR ORCHCTL_CONTEXT ,
.BR ORCHCTL_SERVER ,
.BR ORCHCTL_CA ,
.BR ORCHCTL_CERT ,
.BR ORCHCTL_KEY ,
.BR ORCHCTL_SERVER_NAME :
as the flags of these names, which win over them.
.B ORCHCTL_CONFIG
names the configuration file;
.B NO_COLOR
switches colours off.
.SH FILES
.I ${XDG_CONFIG_HOME:\-~/.config}/orchctl/config.yaml
.br
.I ${XDG_CACHE_HOME:\-~/.cache}/orchctl
(names for completion, for a minute)
.SH SEE ALSO
.BR puppet (8),
docs/orchctl.md, docs/targets.md, docs/errors.md
)";

// Text for troff: nothing in it is a request or an escape.
std::string Troff(absl::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) out += "\\&";
      out += c;
    }
  }
  return out;
}

std::string NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  std::string text = names.empty() ? option.get_name(true) : absl::StrJoin(names, ", ");
  const bool takes_value = option.get_expected_max() > 0;
  if (takes_value && !names.empty()) absl::StrAppend(&text, " ", option.get_type_name());
  return text;
}

// Flags that many commands share, by the group that --help shows them in.
constexpr const char* kShared[] = {"Who", "Who, by name", "How fast", "The job"};

bool IsShared(const CLI::Option& option) {
  return std::find(std::begin(kShared), std::end(kShared), option.get_group()) != std::end(kShared);
}

// Each of them once, in the order of groups.
void AppendShared(const CLI::App& app, std::string* out) {
  for (const char* group : kShared) {
    absl::StrAppend(out, ".SS ", Troff(group), "\n");
    std::set<std::string> told;
    const std::function<void(const CLI::App&)> visit = [&](const CLI::App& command) {
      for (const CLI::Option* option : command.get_options()) {
        if (option->get_group() != group || !told.insert(option->get_name()).second) continue;
        absl::StrAppend(out, ".TP\n.B ", Troff(NamesOf(*option)), "\n",
                        Troff(option->get_description()), "\n");
      }
      for (const CLI::App* sub : command.get_subcommands([](const CLI::App*) { return true; })) {
        visit(*sub);
      }
    };
    visit(app);
  }
}

// What a command has of the shared flags, in one line; empty: none.
std::string SharedOf(const CLI::App& command) {
  std::set<std::string> groups;
  for (const CLI::Option* option : command.get_options()) {
    if (IsShared(*option)) groups.insert(option->get_group());
  }
  std::vector<std::string> in_order;
  for (const char* group : kShared) {
    if (groups.count(group) > 0) in_order.push_back(absl::StrCat("\"", group, "\""));
  }
  if (in_order.empty()) return "";
  return absl::StrCat("Also the flags of ", absl::StrJoin(in_order, ", "), ", above.");
}

void AppendOptions(const CLI::App& command, bool positional, std::string* out) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional() != positional || IsShared(*option)) continue;
    absl::StrAppend(out, ".TP\n.B ", Troff(NamesOf(*option)), "\n",
                    Troff(option->get_description()), "\n");
  }
}

// `orchctl job show JOB`, with what stands below it.
void AppendCommand(const CLI::App& command, const std::string& path, std::string* out) {
  const auto subs = command.get_subcommands([](const CLI::App*) { return true; });
  if (subs.empty()) {
    absl::StrAppend(out, ".SS ", Troff(path), "\n", Troff(command.get_description()), ".\n");
    AppendOptions(command, true, out);
    AppendOptions(command, false, out);
    const std::string shared = SharedOf(command);
    if (!shared.empty()) absl::StrAppend(out, ".PP\n", Troff(shared), "\n");
    for (const absl::string_view line : absl::StrSplit(command.get_footer(), '\n')) {
      if (!line.empty()) absl::StrAppend(out, ".br\n", Troff(line), "\n");
    }
  }
  for (const CLI::App* sub : subs)
    AppendCommand(*sub, absl::StrCat(path, " ", sub->get_name()), out);
}

}  // namespace

std::string ManPage(const CLI::App& app, const std::string& version) {
  std::string out = absl::StrCat(".TH ORCHCTL 1 \"\" \"orch ", Troff(version), "\" \"orch\"\n",
                                 ".SH NAME\norchctl \\- ", "push Puppet runs to a fleet\n",
                                 ".SH SYNOPSIS\n.B orchctl\n.I noun verb\n[target flags] [flags]\n",
                                 ".SH DESCRIPTION\n", Troff(app.get_description()), ".\n",
                                 ".SH GLOBAL OPTIONS\n");
  AppendOptions(app, false, &out);
  absl::StrAppend(&out, ".SH FLAGS OF MANY COMMANDS\n");
  AppendShared(app, &out);
  absl::StrAppend(&out, ".SH TARGETS\n", Troff(kTargets), ".SH COMMANDS\n");
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    AppendCommand(*sub, absl::StrCat("orchctl ", sub->get_name()), &out);
  return out + kEnd;
}

}  // namespace orch::cli
