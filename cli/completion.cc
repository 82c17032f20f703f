// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "api/catalog.h"
#include "cli/text.h"

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

std::vector<Candidate> ActionNames() {
  std::vector<Candidate> names;
  for (const api::ActionInfo& info : api::Actions()) names.push_back({info.name, info.summary});
  return names;
}

std::vector<Candidate> Plain(const std::vector<std::string>& words) {
  std::vector<Candidate> out;
  for (const std::string& word : words) out.push_back({word, ""});
  return out;
}

// `arguments` of `orchctl run ACTION`: key=.
std::vector<Candidate> ArgumentsOf(const std::vector<std::string>& words) {
  std::vector<Candidate> out;
  for (const api::ActionInfo& info : api::Actions()) {
    if (std::find(words.begin(), words.end(), info.name) == words.end()) continue;
    for (const api::ArgumentInfo& argument : info.arguments) {
      out.push_back({absl::StrCat(argument.name, "="), std::string(argument.type)});
    }
  }
  return out;
}

// What kind of names the value of an option, or an argument, is of.
std::optional<NameKind> KindOf(const CLI::App& command, const CLI::Option& option) {
  const auto is = [&option](const char* name) {
    return option.get_positional() ? option.get_name(true) == name : option.check_lname(name);
  };
  const std::string& verb = command.get_name();
  if (is("with-identity") || is("node")) return NameKind::kNodes;
  if (is("with-class")) return NameKind::kClasses;
  if (is("with-fact") || is("fact")) return NameKind::kFacts;
  if (is("last-failed") || is("job") || is("first") || is("second")) return NameKind::kJobs;
  if (is("context")) return NameKind::kContexts;
  const bool of_context = command.get_parent() != nullptr &&
                          command.get_parent()->get_name() == "context" && verb != "set";
  if (is("name") && of_context) return NameKind::kContexts;
  if (is("reason") && verb == "error") return NameKind::kReasons;
  return std::nullopt;
}

// `os.fam` → facts with `=`; `os.family=De` → its values.
std::vector<Candidate> FactsFor(NameSource& names, bool comparison, const std::string& prefix) {
  const size_t equals = prefix.find('=');
  std::vector<Candidate> out;
  if (!comparison) return names.Names(NameKind::kFacts, "");
  if (equals == std::string::npos) {
    for (Candidate& fact : names.Names(NameKind::kFacts, "")) out.push_back({fact.word + "=", ""});
    return out;
  }
  const std::string fact = prefix.substr(0, equals);
  for (Candidate& value : names.Names(NameKind::kFactValues, fact)) {
    out.push_back({absl::StrCat(fact, "=", value.word), ""});
  }
  return out;
}

std::vector<Candidate> NamesFor(NameSource* names, const CLI::App& command,
                                const CLI::Option& option, const std::string& prefix) {
  const std::optional<NameKind> kind = KindOf(command, option);
  if (names == nullptr || !kind.has_value()) return {};
  if (kind != NameKind::kFacts) return names->Names(*kind, "");
  return FactsFor(*names, option.check_lname("with-fact"), prefix);
}

void Append(std::vector<Candidate> more, std::vector<Candidate>* to) {
  for (Candidate& one : more) to->push_back(std::move(one));
}

// Flags that stand at this place: the command's own and those above it.
std::vector<Candidate> FlagsOf(const Place& place) {
  std::vector<Candidate> out;
  for (const CLI::App* level : place.path) {
    for (const CLI::Option* known : level->get_options()) {
      for (const std::string& name : known->get_lnames()) {
        out.push_back({absl::StrCat("--", name), known->get_description()});
      }
    }
  }
  return out;
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
    // `=` and `:` break words in bash; what was completed already is taken off again.
    return "_orchctl() {\n"
           "  local IFS=$'\\n' word=${COMP_LINE:0:COMP_POINT}\n"
           "  word=${word##*[[:space:]]}\n"
           "  COMPREPLY=($(orchctl __complete \"${COMP_WORDS[@]:1:COMP_CWORD-1}\" \"$word\" "
           "2>/dev/null))\n"
           "  [[ ${COMPREPLY-} == *= ]] && compopt -o nospace\n"
           "  local cut=${word%\"${word##*[=:]}\"}\n"
           "  COMPREPLY=(\"${COMPREPLY[@]#\"$cut\"}\")\n"
           "}\n"
           "complete -o default -F _orchctl orchctl\n";
  }
  if (shell == "zsh") {
    return "#compdef orchctl\n"
           "_orchctl() {\n"
           "  local -a words_found lines_found\n"
           "  local line\n"
           "  for line in \"${(@f)$(orchctl __describe \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\"; "
           "do\n"
           "    [[ -n $line ]] || continue\n"
           "    words_found+=(\"${line%%$'\\t'*}\")\n"
           "    lines_found+=(\"${line/$'\\t'/  -- }\")\n"
           "  done\n"
           "  compadd -l -d lines_found -a words_found\n"
           "}\n"
           "compdef _orchctl orchctl\n";
  }
  return "complete -c orchctl -f -a '(orchctl __describe (commandline -opc)[2..-1] (commandline "
         "-ct) 2>/dev/null)'\n";
}

std::vector<Candidate> Complete(
    const CLI::App& app, const std::map<const CLI::App*, std::vector<std::string>>& sort_keys,
    const std::vector<std::string>& words, NameSource* names) {
  const Place place = PlaceOf(app, words);
  const CLI::App& command = *place.path.back();
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
  std::vector<Candidate> candidates;
  if (option != nullptr) {
    candidates = Plain(ValuesOf(*option));
    const auto keys = sort_keys.find(&command);
    if (option->check_lname("sort-by") && keys != sort_keys.end()) {
      candidates = Plain(keys->second);
      const size_t start = prefix.rfind(',') == std::string::npos ? 0 : prefix.rfind(',') + 1;
      const size_t minus = prefix.substr(start, 1) == "-" ? 1 : 0;
      before += prefix.substr(0, start + minus);
      prefix = prefix.substr(start + minus);
    }
    if (option->check_lname("with-action") || option->check_lname("action")) {
      candidates = ActionNames();
    }
    Append(NamesFor(names, command, *option, prefix), &candidates);
  } else if (absl::StartsWith(prefix, "-")) {
    candidates = FlagsOf(place);
  } else {
    for (const CLI::App* sub : SubcommandsOf(command)) {
      candidates.push_back({sub->get_name(), sub->get_description()});
    }
    for (const CLI::Option* argument : command.get_options()) {
      if (!argument->get_positional()) continue;
      if (argument->get_name(true) == "action") candidates = ActionNames();
      if (argument->get_name(true) == "arguments") {
        const std::vector<Candidate> arguments = ArgumentsOf(words);
        // An action is there already.
        if (!arguments.empty()) candidates = arguments;
      }
      Append(Plain(ValuesOf(*argument)), &candidates);
      Append(NamesFor(names, command, *argument, prefix), &candidates);
    }
  }
  std::vector<Candidate> found;
  for (Candidate& candidate : candidates) {
    if (!absl::StartsWith(candidate.word, prefix)) continue;
    found.push_back({before + candidate.word, std::move(candidate.about)});
  }
  std::sort(found.begin(), found.end(),
            [](const Candidate& a, const Candidate& b) { return NaturalLess(a.word, b.word); });
  found.erase(std::unique(found.begin(), found.end(),
                          [](const Candidate& a, const Candidate& b) { return a.word == b.word; }),
              found.end());
  return found;
}

}  // namespace orch::cli
