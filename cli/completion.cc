// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/catalog.h"

namespace orch::cli {

std::string CompletionScript(const std::string& shell) {
  if (shell == "bash") {
    return "_orchctl() {\n"
           "  local IFS=$'\\n'\n"
           "  COMPREPLY=($(orchctl __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
           "}\n"
           "complete -o default -F _orchctl orchctl\n";
  }
  if (shell == "zsh") {
    return "#compdef orchctl\n"
           "_orchctl() {\n"
           "  local -a found\n"
           "  found=(\"${(@f)$(orchctl __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
           "  compadd -a found\n"
           "}\n"
           "compdef _orchctl orchctl\n";
  }
  return "complete -c orchctl -f -a '(orchctl __complete (commandline -opc)[2..-1] (commandline "
         "-ct) 2>/dev/null)'\n";
}

std::vector<std::string> Complete(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  std::vector<const CLI::App*> path = {command};
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    for (const CLI::App* sub : command->get_subcommands([](const CLI::App*) { return true; })) {
      if (sub->get_name() == words[i]) {
        command = sub;
        path.push_back(sub);
        break;
      }
    }
  }
  const std::string prefix = words.empty() ? "" : words.back();
  std::vector<std::string> found;
  const auto offer = [&](const std::string& word) {
    if (absl::StartsWith(word, prefix)) found.push_back(word);
  };
  if (absl::StartsWith(prefix, "-")) {
    for (const CLI::App* level : path) {
      for (const CLI::Option* option : level->get_options()) {
        for (const std::string& name : option->get_lnames()) offer(absl::StrCat("--", name));
      }
    }
  } else {
    for (const CLI::App* sub : command->get_subcommands([](const CLI::App*) { return true; })) {
      if (!absl::StartsWith(sub->get_name(), "__")) offer(sub->get_name());
    }
    if (command->get_name() == "run" && path.size() == 2) {
      for (const api::ActionInfo& info : api::Actions()) offer(info.name);
    }
    if (command->get_name() == "completion") {
      for (const char* shell : {"bash", "zsh", "fish"}) offer(shell);
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace orch::cli
