// SPDX-License-Identifier: Apache-2.0
#include "test/fuzz/driver.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <unordered_set>

#include "absl/strings/numbers.h"

namespace orch::testing {
namespace {

using Random = std::mt19937_64;
using SteadyClock = std::chrono::steady_clock;

// For the signal handler, which may use nothing else.
const char* current_data = nullptr;
size_t current_size = 0;
char finding_path[4096] = "fuzz-finding";

void WriteFinding(int signal) {
  const int fd = open(finding_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  const bool written =
      fd >= 0 && write(fd, current_data, current_size) == static_cast<ssize_t>(current_size);
  const char text[] = "fuzz: a finding; its input is in ";
  const ssize_t said = write(STDERR_FILENO, text, sizeof text - 1) +
                       write(STDERR_FILENO, finding_path, std::strlen(finding_path)) +
                       write(STDERR_FILENO, "\n", 1);
  (void)written;
  (void)said;
  std::signal(signal, SIG_DFL);
  raise(signal);
}

void CatchFindings() {
  if (const char* directory = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR")) {
    std::snprintf(finding_path, sizeof finding_path, "%s/fuzz-finding", directory);
  }
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    std::signal(signal, WriteFinding);
  }
}

class Mutator {
 public:
  Mutator(const FuzzTarget& target, uint64_t seed) : target_(target), random_(seed) {}

  std::string Next(const std::vector<std::string>& corpus) {
    std::string input = corpus[Below(corpus.size())];
    for (size_t i = 1 + Below(4); i > 0; --i) Mutate(corpus, &input);
    if (input.size() > target_.input_max) input.resize(target_.input_max);
    return input;
  }

 private:
  size_t Below(size_t bound) { return bound == 0 ? 0 : random_() % bound; }
  // A stretch of `text`, mostly short.
  std::string Part(const std::string& text) {
    const size_t at = Below(text.size());
    return text.substr(at, 1 + Below(Below(4) == 0 ? text.size() : 16));
  }

  void Mutate(const std::vector<std::string>& corpus, std::string* input) {
    const size_t at = Below(input->size() + 1);
    switch (Below(11)) {
      case 0:  // a bit
        if (!input->empty()) (*input)[Below(input->size())] ^= static_cast<char>(1 << Below(8));
        break;
      case 1:  // a byte
        if (!input->empty()) (*input)[Below(input->size())] = static_cast<char>(Below(256));
        break;
      case 2:
        input->insert(at, 1, static_cast<char>(Below(256)));
        break;
      case 3:
        if (at < input->size()) input->erase(at, 1 + Below(16));
        break;
      case 4:  // cut off
        input->resize(at);
        break;
      case 5:
        if (!target_.words.empty()) input->insert(at, target_.words[Below(target_.words.size())]);
        break;
      case 6: {  // replaced by a word
        if (target_.words.empty()) break;
        const std::string& word = target_.words[Below(target_.words.size())];
        input->replace(at, std::min(word.size(), input->size() - at), word);
        break;
      }
      case 7:  // said again, perhaps very often
        if (!input->empty()) {
          const std::string part = Part(*input);
          std::string many;
          for (size_t i = 1 + Below(Below(8) == 0 ? 200 : 3); i > 0; --i) many += part;
          input->insert(at, many);
        }
        break;
      case 8:  // the head of this one, the tail of another
        input->resize(at);
        if (const std::string& other = corpus[Below(corpus.size())]; !other.empty()) {
          input->append(other, Below(other.size()));
        }
        break;
      case 9:  // one behind the other
        input->append(corpus[Below(corpus.size())]);
        break;
      default: {  // a number
        const size_t digit = input->find_first_of("0123456789", at);
        if (digit != std::string::npos) {
          (*input)[digit] = static_cast<char>('0' + Below(10));
          if (Below(3) == 0) input->insert(digit, std::string(1 + Below(20), '9'));
        }
        break;
      }
    }
  }

  const FuzzTarget& target_;
  Random random_;
};

uint64_t RunOne(const FuzzTarget& target, const std::string& input) {
  current_data = input.data();
  current_size = input.size();
  alarm(kFuzzSlowSeconds);
  const uint64_t behaviour = target.run(input);
  alarm(0);
  return behaviour;
}

bool TakeNumber(int argc, char** argv, int* i, const char* name, uint64_t* out) {
  if (std::strcmp(argv[*i], name) != 0) return false;
  if (*i + 1 >= argc || !absl::SimpleAtoi(argv[++*i], out)) {
    std::fprintf(stderr, "%s wants a number\n", name);
    std::exit(64);
  }
  return true;
}

}  // namespace

int FuzzMain(int argc, char** argv, const FuzzTarget& target) {
  uint64_t seconds = 5, seed = 1;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (TakeNumber(argc, argv, &i, "--seconds", &seconds)) continue;
    if (TakeNumber(argc, argv, &i, "--seed", &seed)) continue;
    if (std::strcmp(argv[i], "--input") == 0 && i + 1 < argc) {
      path = argv[++i];
      continue;
    }
    std::fprintf(stderr, "usage: %s [--seconds N] [--seed N] [--input FILE]\n", argv[0]);
    return 64;
  }
  CatchFindings();
  if (path != nullptr) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "can't read %s\n", path);
      return 64;
    }
    const std::string input{std::istreambuf_iterator<char>(file), {}};
    const uint64_t behaviour = RunOne(target, input);
    std::printf("%s: %zu bytes, behaviour %llu: no finding\n", path, input.size(),
                static_cast<unsigned long long>(behaviour));
    return 0;
  }
  std::vector<std::string> corpus = target.corpus;
  std::unordered_set<uint64_t> behaviours;
  for (const std::string& input : corpus) behaviours.insert(RunOne(target, input));
  Mutator mutator(target, seed);
  uint64_t runs = 0, bytes = 0;
  const auto end = SteadyClock::now() + std::chrono::seconds(seconds);
  while (SteadyClock::now() < end) {
    std::string input = mutator.Next(corpus);
    ++runs;
    bytes += input.size();
    if (behaviours.insert(RunOne(target, input)).second && corpus.size() < kFuzzCorpusMax) {
      corpus.push_back(std::move(input));
    }
  }
  std::printf("%llu inputs, %llu MB, %zu behaviours, seed %llu: no finding\n",
              static_cast<unsigned long long>(runs), static_cast<unsigned long long>(bytes >> 20),
              behaviours.size(), static_cast<unsigned long long>(seed));
  return 0;
}

}  // namespace orch::testing
