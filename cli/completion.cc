// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/catalog.h"

namespace orch::cli {
namespace {

std::vector<const CLI::App*> SubcommandsOf(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

// Where in the tree the last word begins: below which commands, and behind which option that wants
// a value.
struct Place {
  std::vector<const CLI::App*> path;
  const CLI::Option* option = nullptr;
};

Place PlaceOf(const CLI::App& app, const std::vector<std::string>& words) {
  Place place{{&app}};
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (place.option != nullptr) {  // this word is its value
      place.option = nullptr;
      continue;
    }
    if (absl::StartsWith(words[i], "-")) {
      const CLI::Option* option = FindOption(place.path, words[i]);
      if (option != nullptr && option->get_expected_max() > 0) place.option = option;
      continue;
    }
    for (const CLI::App* sub : SubcommandsOf(*place.path.back())) {
      if (sub->get_name() != words[i] || words[i] == "help") continue;  // `help` is followed by one
      place.path.push_back(sub);
      break;
    }
  }
  return place;
}

// The values that an option is limited to; its type's name lists them in braces.
std::vector<std::string> ValuesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t open = type.find('{'), close = type.rfind('}');
  if (open == std::string::npos || close == std::string::npos || close < open) return {};
  return absl::StrSplit(type.substr(open + 1, close - open - 1), ',');
}

std::vector<std::string> ActionNames() {
  std::vector<std::string> names;
  for (const api::ActionInfo& info : api::Actions()) names.push_back(info.name);
  return names;
}

}  // namespace

const CLI::Option* FindOption(const std::vector<const CLI::App*>& path, const std::string& word) {
  for (const CLI::App* level : path) {
    for (const CLI::Option* option : level->get_options()) {
      const bool is_long = absl::StartsWith(word, "--") && option->check_lname(word.substr(2));
      const bool is_short =
          word.size() == 2 && word[0] == '-' && option->check_sname(word.substr(1));
      if (is_long || is_short) return option;
    }
  }
  return nullptr;
}

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

std::vector<std::string> Complete(
    const CLI::App& app, const std::map<const CLI::App*, std::vector<std::string>>& sort_keys,
    const std::vector<std::string>& words) {
  const Place place = PlaceOf(app, words);
  std::string prefix = words.empty() ? "" : words.back();
  std::string before;  // what of the word is kept: `--output=`, or `node,-` of a list
  const CLI::Option* option = place.option;
  const size_t equals = prefix.find('=');
  if (option == nullptr && absl::StartsWith(prefix, "--") && equals != std::string::npos) {
    option = FindOption(place.path, prefix.substr(0, equals));
    if (option == nullptr) return {};
    before = prefix.substr(0, equals + 1);
    prefix = prefix.substr(equals + 1);
  }
  std::vector<std::string> candidates;
  if (option != nullptr) {
    candidates = ValuesOf(*option);
    const auto keys = sort_keys.find(place.path.back());
    if (option->check_lname("sort-by") && keys != sort_keys.end()) {
      candidates = keys->second;
      const size_t start = prefix.rfind(',') == std::string::npos ? 0 : prefix.rfind(',') + 1;
      const size_t minus = prefix.substr(start, 1) == "-" ? 1 : 0;
      before += prefix.substr(0, start + minus);
      prefix = prefix.substr(start + minus);
    }
    if (option->check_lname("with-action")) candidates = ActionNames();
  } else if (absl::StartsWith(prefix, "-")) {
    for (const CLI::App* level : place.path) {
      for (const CLI::Option* known : level->get_options()) {
        for (const std::string& name : known->get_lnames())
          candidates.push_back(absl::StrCat("--", name));
      }
    }
  } else {
    for (const CLI::App* sub : SubcommandsOf(*place.path.back()))
      candidates.push_back(sub->get_name());
    for (const CLI::Option* argument : place.path.back()->get_options()) {
      if (!argument->get_positional()) continue;
      if (argument->get_name(true) == "action") candidates = ActionNames();
      for (std::string& value : ValuesOf(*argument)) candidates.push_back(std::move(value));
    }
  }
  std::vector<std::string> found;
  for (const std::string& candidate : candidates) {
    if (absl::StartsWith(candidate, prefix)) found.push_back(before + candidate);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace orch::cli
