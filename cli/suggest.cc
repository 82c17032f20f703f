// SPDX-License-Identifier: Apache-2.0
#include "cli/suggest.h"

#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/nearest.h"
#include "cli/completion.h"

namespace orch::cli {
namespace {

// Words of MCollective's `mco` and what they are here.
struct Old {
  absl::string_view path, word, now;
};
constexpr Old kOld[] = {{"orchctl", "rpc", "orchctl run"},
                        {"orchctl puppet", "runonce", "orchctl puppet run"},
                        {"orchctl puppet", "runall", "orchctl puppet run --concurrency N"}};

// How far the words of a command line are understood.
struct Reading {
  std::vector<const CLI::App*> levels;
  std::string path;     // of the last level
  std::string unknown;  // the word, with what it should have been; empty: all are understood
  std::string meant;    // a command line, or a flag; empty: nothing is near
  std::string known;    // what there is instead
};

std::vector<const CLI::App*> Below(const CLI::App& command) {
  return command.get_subcommands([](const CLI::App*) { return true; });
}

void UnknownCommand(const std::string& word, Reading& reading) {
  reading.unknown = absl::StrCat("unknown command `", word, "`");
  std::vector<std::string> names;
  for (const CLI::App* sub : Below(*reading.levels.back())) names.push_back(sub->get_name());
  reading.known = absl::StrCat(reading.path, " has ", absl::StrJoin(names, ", "));
  for (const Old& old : kOld) {
    if (old.path == reading.path && old.word == word) reading.meant = std::string(old.now);
  }
  if (!reading.meant.empty()) return;
  const std::string nearest = base::Nearest(word, names);
  if (!nearest.empty()) reading.meant = absl::StrCat(reading.path, " ", nearest);
}

void UnknownFlag(const std::string& word, Reading& reading) {
  const std::string name = word.substr(0, word.find('='));
  reading.unknown = absl::StrCat("unknown flag `", name, "`");
  if (!absl::StartsWith(name, "--")) return;
  std::vector<std::string> names;
  for (auto level = reading.levels.rbegin(); level != reading.levels.rend(); ++level) {
    for (const CLI::Option* option : (*level)->get_options()) {
      for (const std::string& known : option->get_lnames()) names.push_back(known);
    }
  }
  const std::string nearest = base::Nearest(name.substr(2), names);
  if (!nearest.empty()) reading.meant = absl::StrCat("--", nearest);
}

// How many words besides flags and commands a command takes.
int64_t PlacesOf(const CLI::App& command) {
  int64_t places = 0;
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) places += option->get_items_expected_max();
  }
  return places;
}

// Reads until the first word that is not understood.
Reading Read(const CLI::App& app, const std::vector<std::string>& words) {
  Reading reading{{&app}, "orchctl", "", "", ""};
  int64_t taken = 0;
  for (size_t i = 0; i < words.size() && reading.unknown.empty(); ++i) {
    const std::string& word = words[i];
    if (word == "--") break;
    if (word.size() > 1 && word[0] == '-' && !absl::ascii_isdigit(word[1])) {
      const bool is_long = word[1] == '-';
      const std::string name = is_long ? word.substr(0, word.find('=')) : word.substr(0, 2);
      const CLI::Option* option = FindOption(reading.levels, name);
      if (option == nullptr) UnknownFlag(word, reading);
      if (option != nullptr && option->get_expected_max() > 0 && name == word) ++i;
      continue;
    }
    const std::vector<const CLI::App*> subs = Below(*reading.levels.back());
    const CLI::App* found = nullptr;
    for (const CLI::App* sub : subs) {
      if (sub->get_name() == word) found = sub;
    }
    if (found != nullptr) {
      reading.levels.push_back(found);
      absl::StrAppend(&reading.path, " ", word);
    } else if (!subs.empty()) {
      UnknownCommand(word, reading);
    } else if (++taken > PlacesOf(*reading.levels.back())) {
      reading.unknown = absl::StrCat("unexpected argument `", word, "`");
    }
  }
  return reading;
}

std::string Text(const Reading& reading, const std::string& refusal) {
  std::string text = reading.unknown.empty() ? refusal : reading.unknown;
  if (!reading.meant.empty()) {
    absl::StrAppend(&text, "; did you mean `", reading.meant, "`?");
  } else if (!reading.known.empty()) {
    absl::StrAppend(&text, "; ", reading.known);
  }
  return absl::StrCat(text, "\nsee `", reading.path, " --help`");
}

}  // namespace

std::string Misunderstood(const CLI::App& app, const std::vector<std::string>& words,
                          const std::string& refusal) {
  if (words.empty() || words[0] != "mco") return Text(Read(app, words), refusal);
  Reading reading = Read(app, std::vector<std::string>(words.begin() + 1, words.end()));
  if (reading.unknown.empty()) reading.meant = reading.path;
  reading.unknown = "unknown command `mco`";
  return Text(reading, refusal);
}

absl::StatusOr<std::string> HelpOf(const CLI::App& app, const std::vector<std::string>& words) {
  const Reading reading = Read(app, words);
  if (!reading.unknown.empty()) {
    return absl::InvalidArgumentError(Misunderstood(app, words, ""));
  }
  const CLI::App* command = reading.levels.back();
  return command->get_formatter()->make_help(command, reading.path, CLI::AppFormatMode::Normal);
}

}  // namespace orch::cli
