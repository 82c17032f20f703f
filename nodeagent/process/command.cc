// SPDX-License-Identifier: Apache-2.0

// Three things may hang here that look harmless: exec(2) of a program on a dead file server, a
// program that does not end, and a pipe that a grandchild holds open. So the start runs on a thread
// of its own (Launch), the end is learned from a ProcessWatch and not from the end of the output,
// and what the pipes hold at that moment is all that counts. The process group is killed at the end
// in any case, while its number still belongs to our child: it is reaped after that, never before.
// Dropping the handle does the same, at any moment, also between fork and the news of it.

#include "nodeagent/process/command.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "nodeagent/process/process.h"
#include "nodeagent/process/process_watch.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kErrorOutputMax = 16 << 10;
constexpr size_t kErrorOutputDroppedMax = 1 << 20;
// Of 4 KiB, before others get their turn.
constexpr size_t kDrainChunksMax = 256;

// One start of a program, on a thread of its own: exec(2) of what lies on a dead file server hangs,
// and nothing of the strand's may hang with it. Shared by the thread and the command.
class Launch {
 public:
  // `out` and `err` are the write ends of its pipes, closed when it has them or not.
  Launch(CommandSpec spec, int out, int err) : spec_(std::move(spec)), out_(out), err_(err) {}

  // Calls `started` on `strand` with its process id, or with why there is none.
  static absl::Status Begin(const std::shared_ptr<Launch>& self, base::Strand strand,
                            std::function<void(absl::StatusOr<pid_t>)> started) {
    if (launching.fetch_add(1) >= kLaunchingMax) {
      launching--;
      self->CloseEnds();
      return absl::ResourceExhaustedError(absl::StrCat(
          "start: ", kLaunchingMax, " programs still wait for their file systems to be started"));
    }
    try {
      std::thread([self, strand = std::move(strand), started = std::move(started)] {
        self->Run(strand, started);
        launching--;
      }).detach();
    } catch (const std::system_error& error) {
      launching--;
      self->CloseEnds();
      return absl::ResourceExhaustedError(absl::StrCat("start: ", error.what()));
    }
    return absl::OkStatus();
  }

  // Nobody wants it any more: 0 if it is not under way yet, its process is then killed by its
  // thread.
  pid_t Abandon() {
    const absl::MutexLock lock(&mutex_);
    abandoned_ = true;
    return pid_;
  }

 private:
  static constexpr int kLaunchingMax = 16;
  static inline std::atomic<int> launching = 0;

  void CloseEnds() {
    close(out_);
    close(err_);
  }
  absl::StatusOr<pid_t> Spawn();

  void Run(const base::Strand& strand, const std::function<void(absl::StatusOr<pid_t>)>& started) {
    const absl::StatusOr<pid_t> pid = Spawn();
    {
      const absl::MutexLock lock(&mutex_);
      if (!abandoned_) {
        // The command lives, and so does what its strand runs on.
        pid_ = pid.value_or(0);
        base::asio::post(strand, [started, pid] { started(pid); });
        return;
      }
    }
    if (!pid.ok()) return;
    kill(-*pid, SIGKILL);
    while (waitpid(*pid, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  const CommandSpec spec_;
  const int out_;
  const int err_;
  absl::Mutex mutex_;
  bool abandoned_ ABSL_GUARDED_BY(mutex_) = false;
  pid_t pid_ ABSL_GUARDED_BY(mutex_) = 0;
};

absl::StatusOr<pid_t> Launch::Spawn() {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_, 1);
  posix_spawn_file_actions_adddup2(&actions, err_, 2);
  posix_spawn_file_actions_addchdir_np(&actions, "/");
  posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigfillset(&signals);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  sigemptyset(&signals);
  posix_spawnattr_setsigmask(&attributes, &signals);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  const std::vector<std::string> environment = ConstantEnvironment();
  pid_t pid = 0;
  const int error = posix_spawn(&pid, spec_.argv[0].c_str(), &actions, &attributes,
                                ExecVector(spec_.argv).data(), ExecVector(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  CloseEnds();
  if (error != 0) return absl::ErrnoToStatus(error, "start");
  return pid;
}

}  // namespace

class Command {
 public:
  Command(base::Strand strand, CommandSpec spec,
          std::function<void(absl::StatusOr<std::string>)> done)
      : strand_(strand),
        spec_(std::move(spec)),
        done_(std::move(done)),
        output_{base::asio::posix::stream_descriptor(strand), {}, {}, spec_.output_max, false},
        errors_{base::asio::posix::stream_descriptor(strand), {}, {}, kErrorOutputMax, true},
        timer_(strand) {}
  ~Command() {
    if (watch_ != nullptr) watch_->Stop();
    if (launch_ != nullptr) pid_ = launch_->Abandon();
    if (pid_ <= 0) return;
    kill(-pid_, SIGKILL);
    if (waitpid(pid_, nullptr, WNOHANG) != 0) return;
    // What hangs in a file system's call dies when that ends; nobody waits for it here.
    const auto reap = [pid = pid_] {
      while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
      }
    };
    const std::optional<ProcessId> process = Identify(pid_);
    if (process.has_value()) {
      ProcessWatch::Start(strand_, *process, reap);
    } else {
      reap();  // dead already
    }
  }

  static void Begin(const std::shared_ptr<Command>& self) {
    const std::weak_ptr<Command> weak = self;
    const absl::Status launching = self->StartLaunch(weak);
    if (!launching.ok()) {
      base::asio::post(self->strand_, [weak, launching] {
        if (const auto command = weak.lock()) command->Finish(launching);
      });
      return;
    }
    self->timer_.expires_after(absl::ToChronoNanoseconds(self->spec_.timeout));
    self->timer_.async_wait([weak](boost::system::error_code error) {
      const auto command = weak.lock();
      if (error || command == nullptr) return;
      command->Finish(absl::DeadlineExceededError(
          absl::StrCat("no end after ", absl::FormatDuration(command->spec_.timeout))));
    });
  }

 private:
  // `max` bytes are kept.
  struct Stream {
    base::asio::posix::stream_descriptor descriptor;
    std::array<char, 4096> buffer;
    std::string text;
    size_t max;
    bool may_overflow;  // what is beyond `max` is dropped, up to kErrorOutputDroppedMax
    size_t dropped = 0;
  };

  absl::Status StartLaunch(const std::weak_ptr<Command>& weak) {
    int out[2];
    int err[2];
    if (pipe2(out, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
    output_.descriptor.assign(out[0]);
    if (pipe2(err, O_CLOEXEC) != 0) {
      close(out[1]);
      return absl::ErrnoToStatus(errno, "pipe");
    }
    errors_.descriptor.assign(err[0]);
    auto launch = std::make_shared<Launch>(spec_, out[1], err[1]);
    ORCH_RETURN_IF_ERROR(Launch::Begin(launch, strand_, [weak](const absl::StatusOr<pid_t>& pid) {
      if (const auto command = weak.lock()) command->OnStarted(weak, pid);
    }));
    launch_ = std::move(launch);
    return absl::OkStatus();
  }

  void OnStarted(const std::weak_ptr<Command>& weak, const absl::StatusOr<pid_t>& pid) {
    launch_ = nullptr;
    if (!pid.ok()) return Finish(pid.status());
    pid_ = *pid;
    if (!done_) {  // too late
      kill(-pid_, SIGKILL);
      return;
    }
    Read(weak, &Command::output_);
    Read(weak, &Command::errors_);
    const auto ended = [weak] {
      if (const auto command = weak.lock()) command->OnEnded();
    };
    const std::optional<ProcessId> process = Identify(pid_);
    if (process.has_value()) {
      watch_ = ProcessWatch::Start(strand_, *process, ended);
    } else {
      base::asio::post(strand_, ended);
    }
  }

  // Waits and reads only then: an operation that reads by itself may hold bytes that OnEnded would
  // miss.
  void Read(const std::weak_ptr<Command>& weak, Stream Command::*which) {
    (this->*which)
        .descriptor.async_wait(base::asio::posix::descriptor_base::wait_read,
                               [weak, which](boost::system::error_code error) {
                                 const auto command = weak.lock();
                                 if (command == nullptr || error) return;
                                 if (command->Drain(command.get()->*which))
                                   command->Read(weak, which);
                               });
  }

  // Reads what is in the pipe now; whoever else still holds its other end is not waited for. False
  // at its end, or if that was too much: the command is over then.
  bool Drain(Stream& stream) {
    boost::system::error_code error;
    stream.descriptor.non_blocking(true, error);
    for (size_t chunks = 0; !error && chunks < kDrainChunksMax; chunks++) {
      const size_t size = stream.descriptor.read_some(base::asio::buffer(stream.buffer), error);
      if (!error && !Append(stream, size)) return false;
    }
    return !error || error == base::asio::error::would_block;
  }

  bool Append(Stream& stream, size_t size) {
    const size_t room = stream.max - stream.text.size();
    stream.text.append(stream.buffer.data(), std::min(size, room));
    if (size <= room) return true;
    stream.dropped += size - room;
    if (stream.may_overflow && stream.dropped <= kErrorOutputDroppedMax) return true;
    Finish(absl::ResourceExhaustedError(
        stream.may_overflow
            ? absl::StrCat("more than ", kErrorOutputDroppedMax, " bytes of error output")
            : absl::StrCat("more than ", stream.max, " bytes of output")));
    return false;
  }

  void OnEnded() {
    Drain(output_);
    Drain(errors_);
    if (!done_) return;
    // What it left behind ends with it, as long as the group's number is still its own.
    kill(-pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    const bool good = WIFEXITED(status) &&
                      (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == spec_.also_good_exit);
    if (good) return Finish(std::move(output_.text));
    const std::vector<std::string> lines =
        absl::StrSplit(absl::StripSuffix(errors_.text, "\n"), '\n');
    const std::string how = WIFSIGNALED(status) ? absl::StrCat("signal ", WTERMSIG(status))
                                                : absl::StrCat("exit code ", WEXITSTATUS(status));
    Finish(absl::UnknownError(lines.back().empty() ? how : absl::StrCat(how, ": ", lines.back())));
  }

  void Finish(absl::StatusOr<std::string> result) {
    const auto done = std::exchange(done_, nullptr);
    timer_.cancel();
    if (watch_ != nullptr) watch_->Stop();
    if (pid_ > 0) kill(-pid_, SIGKILL);
    if (!done) return;
    if (!result.ok()) result = base::Annotate(result.status(), spec_.argv[0]);
    done(std::move(result));
  }

  const base::Strand strand_;
  const CommandSpec spec_;
  std::function<void(absl::StatusOr<std::string>)> done_;
  Stream output_;
  Stream errors_;
  base::asio::steady_timer timer_;
  std::shared_ptr<Launch> launch_;  // until it has started, or not
  std::shared_ptr<ProcessWatch> watch_;
  pid_t pid_ = 0;
};

std::shared_ptr<Command> RunCommand(base::Strand strand, CommandSpec spec,
                                    std::function<void(absl::StatusOr<std::string>)> done) {
  auto command = std::make_shared<Command>(std::move(strand), std::move(spec), std::move(done));
  Command::Begin(command);
  return command;
}

}  // namespace orch::nodeagent
