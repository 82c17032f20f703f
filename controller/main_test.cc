// SPDX-License-Identifier: Apache-2.0
// The binary as a process: what it says and how it exits.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "base/config.h"
#include "test/testing/test_ca.h"

namespace orch::controller {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);
constexpr char kPolicy[] = "rules: [{effect: allow, callers: ['*'], actions: ['*']}]\n";

class MainTest : public ::testing::Test {
 protected:
  MainTest() {
    orch::testing::WriteTrust(&ca_, "controller", trust::Role::kController, directory_);
    orch::testing::WriteTrust(&ca_, "web1", trust::Role::kNode, directory_);
    Write("policy.yaml", kPolicy);
    config_ = absl::StrReplaceAll(R"(
trust: {certificate: DIR/controller.pem, private_key: DIR/controller.key, ca: DIR/ca.pem, crl: DIR/crl.pem}
grpc: {listen: '127.0.0.1:0'}
http: {listen: '127.0.0.1:0'}
broker: {listen: '127.0.0.1:0'}
state_dir: DIR/state
policy: {file: DIR/policy.yaml}
)",
                                  {{"DIR", directory_}});
  }
  ~MainTest() override {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }

  void Write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(base::WriteFileAtomically(directory_ + "/" + name, text, 0600).ok());
  }
  std::string Output() { return base::ReadFile(directory_ + "/output").value_or(""); }

  void Spawn(const std::vector<std::string>& arguments) {
    std::vector<std::string> words = {"controller/orch-controller"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, (directory_ + "/output").c_str(),
                                     O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    ASSERT_EQ(posix_spawn(&pid_, argv[0], &files, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&files);
  }
  // The exit code, or -1 if it had to be killed.
  int Wait() {
    int status = 0;
    const absl::Time end = absl::Now() + kPatience;
    while (waitpid(pid_, &status, WNOHANG) == 0) {
      if (absl::Now() > end) return -1;
      std::this_thread::yield();
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  int Run(const std::vector<std::string>& arguments) {
    Spawn(arguments);
    return Wait();
  }
  // Runs it with a changed configuration.
  int RunChanged(const std::string& from, const std::string& to,
                 const std::vector<std::string>& more = {"--check-config"}) {
    const std::string changed = absl::StrReplaceAll(config_, {{from, to}});
    EXPECT_NE(changed, config_) << from;
    Write("c.yaml", changed);
    std::vector<std::string> arguments = {"--config", directory_ + "/c.yaml"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Run(arguments);
  }
  void Start() {
    Write("c.yaml", config_);
    Spawn({"--config", directory_ + "/c.yaml"});
    ASSERT_TRUE(Says(" ready\n")) << Output();
  }
  bool Says(const std::string& text) {
    const absl::Time end = absl::Now() + kPatience;
    while (!absl::StrContains(Output(), text)) {
      if (absl::Now() > end) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // What follows `text` in the output, up to the line's end.
  std::string Behind(const std::string& text) {
    const std::string output = Output();
    const size_t at = output.find(text);
    if (at == std::string::npos) return "";
    return output.substr(at + text.size(), output.find('\n', at) - at - text.size());
  }

  const std::string directory_ = orch::testing::NewTestDirectory();
  orch::testing::TestCa ca_;
  std::string config_;
  pid_t pid_ = 0;
};

TEST_F(MainTest, TellsItsVersionAndItsFlags) {
  EXPECT_EQ(Run({"--version"}), 0);
  EXPECT_TRUE(absl::StartsWith(Output(), "orch-controller ")) << Output();
  EXPECT_EQ(Run({"--help"}), 0);
  EXPECT_TRUE(absl::StrContains(Output(), "--check-config")) << Output();
  EXPECT_EQ(Run({"--nonsense"}), 64);
  EXPECT_TRUE(absl::StrContains(Output(), "--nonsense")) << Output();
  EXPECT_EQ(Run({"--config", "/nonexistent.yaml"}), 64);
  EXPECT_TRUE(absl::StrContains(Output(), "/nonexistent.yaml")) << Output();
}

TEST_F(MainTest, ChecksItsConfiguration) {
  Write("c.yaml", config_);
  EXPECT_EQ(Run({"--config", directory_ + "/c.yaml", "--check-config"}), 0);
  EXPECT_EQ(Output(), "ok\n");
  Write("bad.yaml", "rules: [{effect: alow}]\n");
  Write("empty.pem", "");
  const struct {
    const char* from;
    const char* to;
    const char* says;
  } cases[] = {
      {"grpc:", "grcp:", "c.yaml:3: grcp: no such field"},
      {"controller.pem", "nope.pem", "nope.pem"},
      {"ca.pem", "empty.pem", "empty.pem"},
      {"crl.pem", "nope.pem", "nope.pem"},
      {"controller.key", "web1.key", "web1.key"},
      {"controller.", "web1.", "needs orch-controller"},
      {"policy.yaml", "bad.yaml", "bad.yaml:1: "},
      {"state_dir:", "grpc: {}\nstate_dir:", "c.yaml:6: grpc: is given twice"},
      {"grpc: {listen: '127.0.0.1:0'}", "grpc: {listen: '127.0.0.1:70000'}", "grpc.listen: "},
      {"http: {listen: '127.0.0.1:0'}", "http: {listen: here}", "http.listen: "},
  };
  for (const auto& one : cases) {
    EXPECT_EQ(RunChanged(one.from, one.to), 64) << one.says;
    const std::string output = Output();
    EXPECT_TRUE(absl::StrContains(output, one.says)) << output;
    EXPECT_TRUE(absl::StartsWith(output, "orch-controller: ")) << output;
    EXPECT_EQ(output.find('\n'), output.size() - 1) << "one line: " << output;
  }
}

TEST_F(MainTest, ABusyAddressOrDirectoryIsOneSentence) {
  Start();
  const struct {
    std::string part, address;
  } busy[] = {{"grpc", Behind("grpc listening ")},
              {"http", Behind("http listening ")},
              {"broker", Behind("broker listening ")}};
  const pid_t first = std::exchange(pid_, 0);
  const std::string config = config_;
  for (const auto& [part, address] : busy) {
    config_ = absl::StrReplaceAll(config, {{"/state", "/other"}});
    EXPECT_EQ(RunChanged(absl::StrCat(part, ": {listen: '127.0.0.1:0'}"),
                         absl::StrCat(part, ": {listen: '", address, "'}"), {}),
              1);
    EXPECT_TRUE(absl::StrContains(Output(), absl::StrCat("orch-controller: ", part, ": listen")))
        << Output();
    EXPECT_TRUE(absl::StrContains(Output(), absl::StrCat(address, ": Address already in use")))
        << Output();
  }
  config_ = config;
  EXPECT_EQ(RunChanged("\nhttp:", "\ncollectives: [lab]\nhttp:", {}), 1);
  EXPECT_TRUE(absl::StrContains(Output(), "audit.jsonl: another process")) << Output();
  pid_ = first;
}

TEST_F(MainTest, EndsOnSigterm) {
  Start();
  const absl::Time begin = absl::Now();
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0) << Output();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
  EXPECT_TRUE(absl::EndsWith(Output(), " stopped\n")) << Output();
  Start();  // and takes up its files again
}

TEST_F(MainTest, SighupReadsThePolicyAgain) {
  Start();
  Write("policy.yaml", "rules: [oh]\n");
  kill(pid_, SIGHUP);
  EXPECT_TRUE(Says("the old one stays in force")) << Output();
  Write("policy.yaml", kPolicy);
  kill(pid_, SIGHUP);
  EXPECT_TRUE(Says("policy loaded")) << Output();
  const std::string audit = base::ReadFile(directory_ + "/state/audit.jsonl").value_or("");
  EXPECT_TRUE(absl::StrContains(audit, "policy.yaml:1: ")) << audit;
}

}  // namespace
}  // namespace orch::controller
