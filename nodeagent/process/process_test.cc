// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/process/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/asio.h"
#include "base/config.h"
#include "nodeagent/process/command.h"
#include "nodeagent/process/process_watch.h"

namespace orch::nodeagent {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(10);

class ProcessTest : public testing::Test {
 protected:
  bool Until(const std::function<bool()>& condition) {
    const absl::Time limit = absl::Now() + kPatience;
    while (!condition()) {
      if (absl::Now() > limit) return false;
      io_.restart();
      io_.run_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  // A child that does nothing, for as long as the test likes.
  pid_t Child() {
    const pid_t pid = fork();
    if (pid == 0) {
      for (;;) pause();
    }
    return pid;
  }
  absl::StatusOr<std::string> Run(CommandSpec spec) {
    std::optional<absl::StatusOr<std::string>> result;
    const std::shared_ptr<Command> command = RunCommand(
        strand_, std::move(spec), [&](absl::StatusOr<std::string> r) { result = std::move(r); });
    EXPECT_FALSE(result.has_value()) << "called back from within";
    EXPECT_TRUE(Until([&] { return result.has_value(); }));
    return result.value_or(absl::InternalError("no end"));
  }
  absl::StatusOr<std::string> Shell(const std::string& script) {
    CommandSpec spec;
    spec.argv = {"/bin/sh", "-c", script};
    return Run(std::move(spec));
  }

  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
};

TEST_F(ProcessTest, AProcessIsKnownByMoreThanItsPid) {
  const ProcessId me = *Identify(getpid());
  EXPECT_TRUE(IsAlive(me));
  ProcessId other = me;
  other.start_ticks++;
  EXPECT_FALSE(IsAlive(other));
  other = me;
  other.boot = "yesterday";
  EXPECT_FALSE(IsAlive(other));
  EXPECT_TRUE(IsOfEarlierBoot(other));
  EXPECT_FALSE(IsAlive(ProcessId()));
  EXPECT_FALSE(Identify(0).has_value());
}

TEST_F(ProcessTest, AZombieIsDead) {
  const pid_t pid = Child();
  const ProcessId child = *Identify(pid);
  EXPECT_TRUE(IsAlive(child));
  kill(pid, SIGKILL);
  ASSERT_TRUE(Until([&] { return !IsAlive(child); }));
  EXPECT_EQ(waitpid(pid, nullptr, WNOHANG), pid) << "it was still there, as a zombie";
}

TEST_F(ProcessTest, AWatchTellsTheEnd) {
  const pid_t pid = Child();
  int ended = 0;
  const auto watch = ProcessWatch::Start(strand_, *Identify(pid), [&] { ended++; });
  io_.poll();
  EXPECT_EQ(ended, 0);
  kill(pid, SIGKILL);
  ASSERT_TRUE(Until([&] { return ended == 1; }));
  waitpid(pid, nullptr, 0);
  // One that is gone already.
  ProcessWatch::Start(strand_, ProcessId{pid, 1, BootId()}, [&] { ended++; });
  EXPECT_EQ(ended, 1);
  ASSERT_TRUE(Until([&] { return ended == 2; }));
  // One that is no longer of interest.
  const auto stopped = ProcessWatch::Start(strand_, ProcessId{pid, 1, BootId()}, [&] { ended++; });
  stopped->Stop();
  io_.restart();
  io_.run();
  EXPECT_EQ(ended, 2);
}

TEST_F(ProcessTest, ATreeFindsGrandchildrenInTheirOwnSessions) {
  const std::string file = testing::TempDir() + "/grandchild";
  std::filesystem::remove(file);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    if (fork() == 0) {
      setsid();
      std::ofstream(file + ".new") << getpid();
      std::filesystem::rename(file + ".new", file);
    }
    for (;;) pause();
  }
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(file); }));
  pid_t grandchild = 0;
  std::ifstream(file) >> grandchild;
  const ProcessId child = *Identify(grandchild);
  ProcessTree tree(*Identify(pid));
  EXPECT_TRUE(tree.AnyAlive());
  tree.Signal(SIGKILL);
  ASSERT_TRUE(Until([&] { return !IsAlive(child) && !tree.AnyAlive(); }));
  waitpid(pid, nullptr, 0);
  EXPECT_TRUE(IsAlive(*Identify(getpid())));
}

TEST_F(ProcessTest, DetachedProgramsAreNobodysChildren) {
  const std::string file = testing::TempDir() + "/detached";
  std::filesystem::remove(file);
  setenv("ORCH_SECRET", "x", 1);
  ASSERT_TRUE(SpawnDetached({"/bin/sh", "-c",
                             "echo $$ $PPID $(ps -o sid= -p $$) s$ORCH_SECRET $PWD >" + file +
                                 ".new; mv " + file + ".new " + file})
                  .ok());
  ASSERT_TRUE(Until([&] { return std::filesystem::exists(file); }));
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t session = 0;
  std::string secret;
  std::string directory;
  std::ifstream(file) >> pid >> parent >> session >> secret >> directory;
  EXPECT_NE(parent, getpid());
  EXPECT_NE(session, getsid(0));
  EXPECT_EQ(secret, "s");
  EXPECT_EQ(directory, "/");
}

TEST_F(ProcessTest, ACommandsOutputAndItsFailures) {
  EXPECT_EQ(*Shell("echo out; echo err >&2"), "out\n");
  const absl::Status failed = Shell("echo first >&2; echo why >&2; exit 3").status();
  EXPECT_EQ(failed.message(), "/bin/sh: exit code 3: why");
  EXPECT_EQ(Shell("kill -9 $$").status().message(), "/bin/sh: signal 9");
  EXPECT_EQ(Shell("yes | head -c 3000000").status().code(), absl::StatusCode::kResourceExhausted);
  // What is beyond a bound on standard error is dropped, not an error.
  EXPECT_EQ(*Shell("head -c 1000000 /dev/zero >&2; echo fine"), "fine\n");
  // Who never stops is stopped.
  EXPECT_EQ(Shell("yes >&2").status().code(), absl::StatusCode::kResourceExhausted);
  CommandSpec none;
  none.argv = {"/nonexistent/program"};
  EXPECT_EQ(Run(none).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ProcessTest, ACommandThatHangsIsKilledWithItsGroup) {
  CommandSpec spec;
  spec.argv = {"/bin/sh", "-c", "sleep 600 & sleep 600"};
  spec.timeout = absl::Milliseconds(100);
  EXPECT_EQ(Run(spec).status().code(), absl::StatusCode::kDeadlineExceeded);
}

// A program that cannot be opened, as on a file server that does not answer: whoever holds a lease
// on a file keeps every execve(2) of it waiting (fcntl(2), F_SETLEASE).
class UnreachableProgram {
 public:
  UnreachableProgram() : path(testing::TempDir() + "/unreachable-" + std::to_string(getpid())) {
    signal(SIGIO, SIG_IGN);  // told to give the lease back
    std::ofstream(path) << "#!/bin/sh\nexec sleep 600\n";
    chmod(path.c_str(), 0755);
    lease_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    EXPECT_EQ(fcntl(lease_, F_SETLEASE, F_WRLCK), 0) << strerror(errno);
  }
  ~UnreachableProgram() {
    Return();
    std::filesystem::remove(path);
  }
  void Return() {
    if (lease_ >= 0) close(lease_);
    lease_ = -1;
  }
  const std::string path;

 private:
  int lease_ = -1;
};

TEST_F(ProcessTest, AProgramThatCannotBeOpenedHoldsUpNothing) {
  UnreachableProgram program;
  CommandSpec spec;
  spec.argv = {program.path};
  spec.timeout = absl::Milliseconds(100);
  std::vector<absl::StatusOr<std::string>> results;
  const absl::Time begin = absl::Now();
  std::shared_ptr<Command> late = RunCommand(
      strand_, spec, [&](absl::StatusOr<std::string> r) { results.push_back(std::move(r)); });
  spec.timeout = absl::Minutes(10);
  std::shared_ptr<Command> dropped = RunCommand(
      strand_, spec, [&](absl::StatusOr<std::string> r) { results.push_back(std::move(r)); });
  EXPECT_EQ(*Shell("echo others go on"), "others go on\n");
  ASSERT_TRUE(Until([&] { return results.size() == 1; }));
  EXPECT_EQ(results[0].status().code(), absl::StatusCode::kDeadlineExceeded);
  dropped.reset();
  EXPECT_LT(absl::Now() - begin, kPatience);
  program.Return();
  // Both start now, and are killed.
  ASSERT_TRUE(Until([&] {
    siginfo_t info = {};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
  }));
  late.reset();
  ASSERT_TRUE(Until([&] {
    siginfo_t info = {};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
  })) << "a child is left";
  EXPECT_EQ(results.size(), 1u);
}

TEST_F(ProcessTest, ADaemonThatKeepsThePipeIsNotWaitedFor) {
  EXPECT_EQ(*Shell("echo out; sleep 20 & exit 0"), "out\n");
}

TEST_F(ProcessTest, ACommandThatNobodyWantsIsKilledSilently) {
  CommandSpec spec;
  spec.argv = {"/bin/sleep", "600"};
  bool called = false;
  std::shared_ptr<Command> command =
      RunCommand(strand_, spec, [&](absl::StatusOr<std::string>) { called = true; });
  io_.poll();
  command.reset();
  io_.restart();
  io_.run();
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace orch::nodeagent
