// SPDX-License-Identifier: Apache-2.0
// run: whether a fleet keeps its promises whatever is lost, repeated, late or killed. One
// controller, twenty node agents and a bus live through many seeds, in one thread, on a virtual
// clock. Exit 0: every rule held in every seed.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/log.h"
#include "base/status.h"
#include "base/version.h"
#include "test/sim/simulation.h"

namespace orch::sim {
namespace {

// Every so many seeds one is lived through twice, and must tell the same story.
constexpr int kRepeatEvery = 25;

struct Options {
  int seeds = 500;
  uint64_t first = 1;
  uint64_t seed = 0;  // this one alone; 0: many
  std::string plant;
  std::string directory;
};

// Null: there is no such plant.
bool SetPlant(const std::string& name, base::Plants* plants) {
  const std::map<std::string, bool*> known = {
      {"no-journal", &plants->no_journal},
      {"digest-not-compared", &plants->digest_not_compared},
      {"late-reply-overwrites", &plants->late_reply_overwrites},
      {"expired-accepted", &plants->expired_accepted},
      {"sequence-gap", &plants->sequence_gap}};
  const auto found = known.find(name);
  if (found == known.end()) return false;
  *found->second = true;
  return true;
}

// For a crash of the simulated code itself: which seed it was.
volatile uint64_t current_seed = 0;
void OnAbort(int) {
  char text[80];
  const int size = snprintf(text, sizeof text, "run: aborted in seed %llu\n",
                            static_cast<unsigned long long>(current_seed));
  if (write(STDERR_FILENO, text, size) < 0) _exit(1);
  signal(SIGABRT, SIG_DFL);
}

Verdict Live(const Fleet& fleet, uint64_t seed, base::Plants plants) {
  current_seed = seed;
  return Simulate(fleet, seed, plants);
}

void PrintStory(const Verdict& verdict) {
  for (const std::string& line : verdict.story) std::cout << line << "\n";
}

// The first line that differs.
std::string Difference(const Verdict& one, const Verdict& other) {
  for (size_t i = 0; i < std::max(one.story.size(), other.story.size()); ++i) {
    const std::string a = i < one.story.size() ? one.story[i] : "(the end)";
    const std::string b = i < other.story.size() ? other.story[i] : "(the end)";
    if (a != b) return absl::StrCat("line ", i + 1, ":\n  ", a, "\n  ", b);
  }
  return "";
}

int ReplayOne(const Fleet& fleet, const Options& options, base::Plants plants) {
  const Verdict verdict = Live(fleet, options.seed, plants);
  PrintStory(verdict);
  const std::string difference = Difference(verdict, Live(fleet, options.seed, plants));
  if (!difference.empty()) {
    std::cout << "seed " << options.seed << " does not repeat, " << difference << std::endl;
    return 1;
  }
  std::cout << "seed " << options.seed << ": "
            << (verdict.violation.empty() ? "every rule held" : verdict.violation) << std::endl;
  return verdict.violation.empty() ? 0 : 1;
}

int LiveMany(const Fleet& fleet, const Options& options, base::Plants plants) {
  const auto begin = std::chrono::steady_clock::now();
  size_t starts = 0;
  std::map<std::string, int> outcomes;
  for (int i = 0; i < options.seeds; ++i) {
    const uint64_t seed = options.first + i;
    const Verdict verdict = Live(fleet, seed, plants);
    starts += verdict.starts;
    for (const auto& [state, count] : verdict.outcomes) outcomes[state] += count;
    std::string broken = verdict.violation;
    if (broken.empty() && i % kRepeatEvery == 0) {
      const std::string difference = Difference(verdict, Live(fleet, seed, plants));
      if (!difference.empty()) broken = absl::StrCat("it does not repeat, ", difference);
    }
    if (broken.empty()) continue;
    PrintStory(verdict);
    std::cout << "seed " << seed << " (the " << i + 1 << ". tried): " << broken
              << "\nagain: run --seed " << seed
              << (options.plant.empty() ? "" : absl::StrCat(" --plant ", options.plant))
              << std::endl;
    return 1;
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::cout << options.seeds << " seeds in " << absl::StrFormat("%.1f", seconds)
            << " s: every rule held; Puppet started " << starts << " times;";
  for (const auto& [state, count] : outcomes) std::cout << " " << state << " " << count;
  std::cout << std::endl;
  return 0;
}

}  // namespace
}  // namespace orch::sim

int main(int argc, char** argv) {
  using namespace orch;
  CLI::App app(
      "Whether a simulated fleet keeps its promises whatever is lost, repeated or killed.");
  sim::Options options;
  app.set_version_flag("--version", absl::StrCat("run ", base::kVersion));
  app.add_option("--seeds", options.seeds, "How many seeds are lived through")
      ->check(CLI::PositiveNumber);
  app.add_option("--first", options.first, "The first of them");
  app.add_option("--seed", options.seed, "This one alone, with its story");
  app.add_option("--plant", options.plant,
                 "Breaks a rule on purpose: no-journal, digest-not-compared, "
                 "late-reply-overwrites, expired-accepted, sequence-gap");
  app.add_option("--directory", options.directory,
                 "For the simulated disks; default: a new one in /dev/shm or TMPDIR");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 64;
  }
  base::Plants plants;
  if (!options.plant.empty() && !sim::SetPlant(options.plant, &plants)) {
    std::cerr << "run: there is no plant " << options.plant << std::endl;
    return 64;
  }
  // The simulated fleet's own log would say everything twice; its errors are worth reading.
  base::SetUpLog("run", base::LogLevel::kError, base::LogFormat::kText);
  signal(SIGABRT, sim::OnAbort);
  const char* const temporary = getenv("TMPDIR");
  std::string root = options.directory;
  if (root.empty())
    root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : temporary != nullptr ? temporary : "/tmp";
  std::string directory = absl::StrCat(root, "/orch-sim.XXXXXX");
  if (mkdtemp(directory.data()) == nullptr) {
    std::cerr << "run: make a directory in " << root << std::endl;
    return 2;
  }
  const sim::Fleet fleet = sim::MakeFleet(directory);
  const int code = options.seed != 0 ? sim::ReplayOne(fleet, options, plants)
                                     : sim::LiveMany(fleet, options, plants);
  std::error_code ignored;
  std::filesystem::remove_all(directory, ignored);
  return code;
}
