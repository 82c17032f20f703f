// SPDX-License-Identifier: Apache-2.0

// A pid alone names nobody: it may be given to another process at any time. So a process is named
// by pid, start time and boot, and is compared before it is signalled. A tree of processes is kept
// as a list, to which is added what is seen to be a child or in the group of a known member,
// because parents die and the link from child to parent is lost then: Scan has to be called while
// the tree still stands. Between fork and exec only calls that do not allocate are made, since
// another thread may have held the allocator's lock.

#include "nodeagent/process/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "base/config.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kProcFileMax = 1 << 20;

// What we use of /proc/<pid>/stat.
struct Stat {
  char state = 0;
  pid_t parent = 0;
  pid_t group = 0;
  uint64_t start_ticks = 0;
};

std::optional<Stat> ReadStat(pid_t pid) {
  const absl::StatusOr<std::string> text =
      base::ReadFile(absl::StrCat("/proc/", pid, "/stat"), kProcFileMax);
  if (!text.ok()) return std::nullopt;
  // The second field is the name in parentheses, which may contain anything, parentheses too.
  const size_t name_end = text->rfind(") ");
  if (name_end == std::string::npos) return std::nullopt;
  const std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(*text).substr(name_end + 2), ' ');
  Stat stat;
  if (fields.size() < 20 || fields[0].empty() || !absl::SimpleAtoi(fields[1], &stat.parent) ||
      !absl::SimpleAtoi(fields[2], &stat.group) ||
      !absl::SimpleAtoi(fields[19], &stat.start_ticks)) {
    return std::nullopt;
  }
  stat.state = fields[0][0];
  return stat;
}

bool IsDead(const Stat& stat) { return stat.state == 'Z' || stat.state == 'X'; }

}  // namespace

std::string BootId() {
  static const std::string* const id = [] {
    const absl::StatusOr<std::string> text =
        base::ReadFile("/proc/sys/kernel/random/boot_id", kProcFileMax);
    return new std::string(text.ok() ? absl::StripSuffix(*text, "\n") : "");
  }();
  return *id;
}

std::optional<ProcessId> Identify(pid_t pid) {
  const std::optional<Stat> stat = ReadStat(pid);
  if (!stat.has_value() || IsDead(*stat)) return std::nullopt;
  return ProcessId{pid, stat->start_ticks, BootId()};
}

bool IsAlive(const ProcessId& process) {
  return process.pid > 0 && Identify(process.pid) == std::optional<ProcessId>(process);
}

bool IsOfEarlierBoot(const ProcessId& process) { return process.boot != BootId(); }

bool IsPuppet(pid_t pid) {
  if (pid <= 1) return false;
  const std::optional<Stat> stat = ReadStat(pid);
  if (!stat.has_value() || IsDead(*stat)) return false;
  const absl::StatusOr<std::string> line =
      base::ReadFile(absl::StrCat("/proc/", pid, "/comm"), kProcFileMax);
  if (!line.ok()) return false;
  const absl::string_view name = absl::StripSuffix(*line, "\n");
  if (name == "puppet" || absl::StartsWith(name, "puppet-") || absl::StartsWith(name, "puppet ")) {
    return true;
  }
  const absl::StatusOr<std::string> arguments =
      base::ReadFile(absl::StrCat("/proc/", pid, "/cmdline"), kProcFileMax);
  return absl::StrContains(name, "ruby") && arguments.ok() &&
         absl::StrContains(*arguments, "puppet");
}

std::vector<std::string> ConstantEnvironment() {
  std::string home = "/root";
  if (geteuid() != 0) {
    const passwd* user = getpwuid(geteuid());
    home = user != nullptr ? user->pw_dir : "/";
  }
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/puppetlabs/bin",
          "LANG=C.UTF-8", "LC_ALL=C.UTF-8", absl::StrCat("HOME=", home)};
}

std::vector<char*> ExecVector(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (const std::string& string : strings) out.push_back(const_cast<char*>(string.c_str()));
  out.push_back(nullptr);
  return out;
}

void ResetChild() {
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; signal++) sigaction(signal, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (close_range(3, ~0u, 0) != 0) {
    for (int fd = 3; fd < 65536; fd++) close(fd);
  }
}

absl::Status SpawnDetached(const std::vector<std::string>& argv) {
  // Everything that allocates comes before the fork: other threads may hold the allocator's lock.
  const std::vector<std::string> environment = ConstantEnvironment();
  const std::vector<char*> arguments = ExecVector(argv);
  const std::vector<char*> variables = ExecVector(environment);
  const pid_t child = fork();
  if (child < 0) return absl::ErrnoToStatus(errno, absl::StrCat("fork for ", argv[0]));
  if (child == 0) {
    setsid();
    const pid_t grandchild = fork();
    if (grandchild != 0) _exit(grandchild < 0 ? 1 : 0);
    const int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    ResetChild();
    umask(022);
    if (chdir("/") == 0) execve(arguments[0], arguments.data(), variables.data());
    _exit(127);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("fork for ", argv[0], ": no process left"));
  }
  return absl::OkStatus();
}

ProcessTree::ProcessTree(ProcessId root) : root_(std::move(root)) {
  members_.push_back(root_);
  Scan();
}

bool ProcessTree::Has(pid_t pid) const {
  return std::any_of(members_.begin(), members_.end(),
                     [pid](const ProcessId& member) { return member.pid == pid; });
}

bool ProcessTree::IsMember(pid_t pid) const {
  return std::any_of(members_.begin(), members_.end(), [pid](const ProcessId& member) {
    return member.pid == pid && IsAlive(member);
  });
}

void ProcessTree::Scan() {
  members_.erase(std::remove_if(members_.begin() + 1, members_.end(),
                                [](const ProcessId& member) { return !IsAlive(member); }),
                 members_.end());
  DIR* proc = opendir("/proc");
  if (proc == nullptr) return;
  const absl::Cleanup closer = [proc] { closedir(proc); };
  std::vector<std::pair<pid_t, Stat>> all;
  while (const dirent* entry = readdir(proc)) {
    pid_t pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    const std::optional<Stat> stat = ReadStat(pid);
    if (stat.has_value() && !IsDead(*stat)) all.emplace_back(pid, *stat);
  }
  // The root's number is a stranger's once the root and all of its group are gone.
  bool group_lives = IsAlive(root_);
  for (const auto& [pid, stat] : all) group_lives |= stat.group == root_.pid && Has(pid);
  // Until nothing new turns up; each pass goes one generation down at least.
  for (bool grown = true; grown && members_.size() < kProcessesMax;) {
    grown = false;
    for (const auto& [pid, stat] : all) {
      const bool related = (group_lives && stat.group == root_.pid) || IsMember(stat.parent);
      if (!related || Has(pid) || pid == getpid() || members_.size() >= kProcessesMax) continue;
      members_.push_back(ProcessId{pid, stat.start_ticks, root_.boot});
      grown = true;
    }
  }
}

void ProcessTree::Signal(int signal) const {
  for (const ProcessId& member : members_) {
    if (IsAlive(member)) kill(member.pid, signal);
  }
}

bool ProcessTree::AnyAlive() const {
  return std::any_of(members_.begin(), members_.end(), IsAlive);
}

}  // namespace orch::nodeagent
