// SPDX-License-Identifier: Apache-2.0

// The wrapper may be killed between any two lines, and the agent must be able to tell afterwards
// whether Puppet ever ran. So Puppet's process is forked first and waits at a pipe; its pid and
// start time go to disk; only then is it let go. If the wrapper dies before, the pipe closes and
// the process ends without having become Puppet. Whether exec worked is told by a second pipe that
// closes itself. There is one thread and no event loop: less can go wrong in a process that has to
// outlive upgrades of the agent.

#include "nodeagent/wrapper/run_wrapper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "nodeagent/process/process.h"
#include "nodeagent/puppet/puppet_lock.h"
#include "nodeagent/wrapper/run_directory.h"

namespace orch::nodeagent {
namespace {

// Between SIGTERM and SIGKILL.
constexpr absl::Duration kKillGrace = absl::Seconds(30);
constexpr int kPollInterval_ms = 250;

// Steady, and going on while the machine sleeps.
absl::Duration SinceBoot() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

RunExit Refused(std::string reason, std::string message) {
  RunExit exit;
  exit.refused = std::move(reason);
  exit.message = std::move(message);
  return exit;
}

// Puppet's process before it is Puppet: it waits until it is let go, and never starts if we die
// first.
class Child {
 public:
  // Forks it. An error leaves nothing behind.
  absl::Status Fork(const RunSpec& spec, const std::string& output) {
    int go[2];
    int failure[2];
    if (pipe2(go, O_CLOEXEC) != 0 || pipe2(failure, O_CLOEXEC) != 0) {
      return absl::ErrnoToStatus(errno, "pipe");
    }
    pid_ = fork();
    if (pid_ < 0) return absl::ErrnoToStatus(errno, "fork");
    if (pid_ == 0) {
      close(go[1]);
      Run(spec, output, go[0], failure[1]);
    }
    setpgid(pid_, pid_);
    close(go[0]);
    close(failure[1]);
    go_ = go[1];
    failure_ = failure[0];
    return absl::OkStatus();
  }

  pid_t pid() const { return pid_; }

  // Lets it start Puppet; the error says why it could not.
  absl::Status LetGo() {
    const bool sent = write(go_, "g", 1) == 1;
    close(go_);
    int error = 0;
    const ssize_t size = read(failure_, &error, sizeof error);
    close(failure_);
    if (!sent) return absl::InternalError("Puppet's process ended before it was let go");
    if (size == sizeof error) return absl::ErrnoToStatus(error, "start Puppet");
    return absl::OkStatus();
  }

  // Ends it before it was let go.
  void Drop() {
    close(go_);
    close(failure_);
    while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  [[noreturn]] static void Run(const RunSpec& spec, const std::string& output, int go,
                               int failure) {
    setpgid(0, 0);
    // The run lock is of a process named so even before it executes Puppet.
    prctl(PR_SET_NAME, "puppet");
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    char byte = 0;
    ssize_t size = 0;
    while ((size = read(go, &byte, 1)) < 0 && errno == EINTR) {
    }
    if (size != 1) _exit(0);
    dup2(null, 0);
    dup2(out >= 0 ? out : null, 1);
    dup2(out >= 0 ? out : null, 2);
    // The one descriptor that stays open until exec: it closes by itself then, and so says that all
    // is well.
    dup2(failure, 3);
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    close_range(4, ~0u, 0);
    fcntl(3, F_SETFD, FD_CLOEXEC);
    umask(022);
    if (chdir("/") == 0) {
      execve(spec.argv[0].c_str(), ExecVector(spec.argv).data(),
             ExecVector(spec.environment).data());
    }
    const int error = errno;
    if (write(3, &error, sizeof error) < 0) _exit(126);
    _exit(127);
  }

  pid_t pid_ = 0;
  int go_ = -1;
  int failure_ = -1;
};

void Pause() { poll(nullptr, 0, kPollInterval_ms); }

// Waits for Puppet; ends it, and all that it started, when it may take no longer.
RunExit Wait(const ProcessId& puppet, absl::Duration kill_after) {
  RunExit exit;
  int status = 0;
  const absl::Duration started = SinceBoot();
  std::optional<ProcessTree> tree;  // since it is being ended
  bool reaped = false;
  for (;;) {
    const bool limited = kill_after != absl::InfiniteDuration();
    if (!reaped) {
      const pid_t ended = waitpid(puppet.pid, &status, limited ? WNOHANG : 0);
      if (ended < 0 && errno != EINTR) break;
      reaped = ended == puppet.pid;
    }
    const absl::Duration age = SinceBoot() - started;
    if (reaped && (!tree.has_value() || !tree->AnyAlive())) break;
    // What SIGKILL does not end hangs in the kernel, and would for ever.
    if (tree.has_value() && age >= kill_after + 2 * kKillGrace) break;
    if (limited && !tree.has_value() && age >= kill_after) {
      exit.killed = true;
      tree.emplace(puppet);
      tree->Signal(SIGTERM);
    } else if (tree.has_value()) {
      tree->Scan();
      if (age >= kill_after + kKillGrace) tree->Signal(SIGKILL);
    }
    if (limited) Pause();
  }
  if (reaped && WIFEXITED(status)) exit.exit_code = WEXITSTATUS(status);
  if (reaped && WIFSIGNALED(status)) exit.signal = WTERMSIG(status);
  exit.end_time = absl::Now();
  return exit;
}

// Starts Puppet, waits for it and says how it ended. An error means that nothing was started.
absl::StatusOr<RunExit> RunPuppetOnce(const RunDirectory& directory, const RunSpec& spec) {
  if (const std::optional<std::string> message = ReadDisabledLock(spec.disabled_lock)) {
    return Refused("disabled", *message);
  }
  Child child;
  ORCH_RETURN_IF_ERROR(child.Fork(spec, directory.output()));
  // The child may not have named itself yet: its name must be right before the lock is taken.
  const std::optional<ProcessId> process = Identify(child.pid());
  const absl::Status recorded =
      process.has_value() ? directory.WritePuppet({*process, absl::Now()})
                          : absl::InternalError("Puppet's process ended before it was let go");
  if (!recorded.ok()) {
    child.Drop();
    return recorded;
  }
  if (!spec.run_lock.empty()) {
    for (int i = 0; i < 1000 && !IsPuppet(child.pid()); i++) poll(nullptr, 0, 1);
    const absl::StatusOr<bool> taken = TakeRunLock(spec.run_lock, child.pid());
    if (!taken.ok() || !*taken) {
      child.Drop();
      if (!taken.ok()) return taken.status();
      return Refused("already_running", "another run was faster");
    }
  }
  const absl::Status started = child.LetGo();
  RunExit exit = Wait(*process, spec.kill_after);
  ClearRunLock(spec.run_lock, process->pid);
  if (!started.ok()) return Refused("start_failed", std::string(started.message()));
  directory.Keep(spec.report, "report.yaml");
  directory.Keep(spec.summary, "summary.yaml");
  return exit;
}

absl::Status Run(const RunDirectory& directory) {
  ORCH_ASSIGN_OR_RETURN(const RunSpec spec, directory.ReadSpec());
  ORCH_ASSIGN_OR_RETURN(const bool mine, directory.Claim(/*by_wrapper=*/true));
  if (!mine) return absl::OkStatus();
  absl::StatusOr<RunExit> exit = RunPuppetOnce(directory, spec);
  if (!exit.ok()) exit = Refused("start_failed", std::string(exit.status().message()));
  return directory.WriteExit(*exit);
}

}  // namespace

int RunWrapperMain(const std::string& directory) {
  // Whoever started us may be gone: nobody's hang-up or closed pipe is ours.
  signal(SIGHUP, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
  const absl::Status status = Run(RunDirectory(directory));
  if (status.ok()) return 0;
  std::cerr << "run-wrapper " << directory << ": " << status.message() << std::endl;
  return 1;
}

}  // namespace orch::nodeagent
