// SPDX-License-Identifier: Apache-2.0
// run KIND FILE.jsonl [--verdicts]: puts each case of FILE to our code and compares with what the
// original answered.
//
// KIND is `targets` or `policies`. Prints the id of each case that came out otherwise, then `N
// passed, N failed`; exits 0 only if none failed. With --verdicts it prints `id<TAB>verdict` for
// each case (true, false, invalid, allow, deny), and a case needs no `expect`. A malformed line
// counts as failed. Exit 64: it was called wrongly, or FILE can't be read.

#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "test/conformance/cases.h"

namespace {

constexpr int kExitFailed = 1;
constexpr int kExitUsage = 64;
// Objects and lists of a case within each other: copying them recurses.
constexpr int kDepthMax = 128;

struct Options {
  std::string kind;
  std::string file;
  bool verdicts = false;
};

// `true` and `false` are JSON booleans in a targets file, texts elsewhere.
std::string ExpectOf(const nlohmann::json& test_case) {
  const auto found = test_case.find("expect");
  if (found == test_case.end()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string IdOf(const nlohmann::json& test_case, int line) {
  const auto found = test_case.find("id");
  if (found != test_case.end() && found->is_string()) return found->get<std::string>();
  return "line " + std::to_string(line);
}

class Run {
 public:
  explicit Run(const Options& options) : options_(options) {}

  void Take(const std::string& line) {
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string::npos) return;
    bool deep = false;
    const auto watch = [&deep](int depth, nlohmann::json::parse_event_t, nlohmann::json&) {
      deep |= depth > kDepthMax;
      return !deep;
    };
    const nlohmann::json test_case = nlohmann::json::parse(line, watch, /*allow_exceptions=*/false);
    if (deep || !test_case.is_object()) {
      Fail("line " + std::to_string(line_), deep ? "nested too deeply" : "not a JSON object");
      return;
    }
    Judge(test_case);
  }

  // With --verdicts and nothing to compare with, standard output holds verdicts only.
  int Finish() const {
    if (!options_.verdicts) std::cout << passed_ << " passed, " << failed_ << " failed\n";
    if (options_.verdicts) std::cerr << passed_ << " passed, " << failed_ << " failed\n";
    return failed_ == 0 ? 0 : kExitFailed;
  }

 private:
  void Judge(const nlohmann::json& test_case) {
    const std::string id = IdOf(test_case, line_);
    const absl::StatusOr<std::string> verdict = options_.kind == "targets"
                                                    ? orch::conformance::TargetVerdict(test_case)
                                                    : orch::conformance::PolicyVerdict(test_case);
    if (!verdict.ok()) {
      Fail(id, std::string(verdict.status().message()));
      return;
    }
    if (options_.verdicts) std::cout << id << '\t' << *verdict << '\n';
    const std::string expect = ExpectOf(test_case);
    if (expect.empty() && options_.verdicts) return;
    if (expect == *verdict) {
      ++passed_;
    } else if (expect.empty()) {
      Fail(id, "has no \"expect\"");
    } else {
      Fail(id, "expected " + expect + ", is " + *verdict);
    }
  }

  void Fail(const std::string& id, const std::string& why) {
    ++failed_;
    if (!options_.verdicts) std::cout << id << '\n';
    std::cerr << options_.file << ":" << line_ << ": " << id << ": " << why << '\n';
  }

  const Options& options_;
  int line_ = 0;
  int passed_ = 0;
  int failed_ = 0;
};

bool Parse(const std::vector<std::string>& arguments, Options* out) {
  std::vector<std::string> words;
  for (const std::string& argument : arguments) {
    if (argument == "--verdicts") {
      out->verdicts = true;
    } else {
      words.push_back(argument);
    }
  }
  if (words.size() != 2 || (words[0] != "targets" && words[0] != "policies")) return false;
  out->kind = words[0];
  out->file = words[1];
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!Parse({argv + 1, argv + argc}, &options)) {
    std::cerr << "usage: run targets|policies FILE.jsonl [--verdicts]\n";
    return kExitUsage;
  }
  std::ifstream file(options.file);
  std::string line;
  if (!file || file.peek() == std::ifstream::traits_type::eof()) {
    std::cerr << options.file << ": can't be read, or is empty\n";
    return kExitUsage;
  }
  Run run(options);
  while (std::getline(file, line)) run.Take(line);
  if (file.bad()) {
    std::cerr << options.file << ": reading failed\n";
    return kExitUsage;
  }
  return run.Finish();
}
