// SPDX-License-Identifier: Apache-2.0

// A look runs on an errand's thread, because any call on a dead file system may never return; it
// knows nothing of earlier looks but what its LookOrder tells. Three things make it less simple
// than reading every file. Watches are set before anything is read, so that no change falls in
// between. A file that makes no sense and was changed a moment ago is taken to be half written, and
// is looked at again before it counts as an error. And an unchanged FileMark (device, inode, size,
// times) spares a reading only if the file was not changed within the clock's tick before it.
// Programs run as root, so one that others may write, or whose directory they may write, is not run
// from a directory of facts.

#include "nodeagent/facts/fact_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/config.h"
#include "base/status.h"
#include "target/fact_formats.h"

namespace orch::nodeagent {
namespace {

constexpr size_t kClassesFileMax = 1 << 20;
// A change within the clock's tick of the reading may not show in the mark.
constexpr absl::Duration kMarkDoubt = absl::Milliseconds(100);
constexpr uint32_t kWatched = IN_ATTRIB | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_DELETE_SELF |
                              IN_MOVE_SELF | IN_MOVED_FROM | IN_MOVED_TO;
constexpr int kLinksMax = 16;

std::string DirectoryOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

absl::Time TimeOf(const timespec& time) { return absl::TimeFromTimespec(time); }

FileMark MarkOf(const struct stat& info) {
  return {info.st_dev, info.st_ino, info.st_size, absl::ToUnixNanos(TimeOf(info.st_mtim)),
          absl::ToUnixNanos(TimeOf(info.st_ctim))};
}

// Directories in which a change may make `path` another file: its own, those of symbolic links on
// the way, and, where one is missing, the nearest that is there.
std::set<std::string> DirectoriesOn(const std::string& path) {
  std::set<std::string> directories;
  std::string at = path;
  for (int links = 0; links < kLinksMax; links++) {
    std::string next;
    for (size_t slash = at.find('/', 1);; slash = at.find('/', slash + 1)) {
      const std::string prefix = at.substr(0, slash);
      struct stat info;
      const bool there = lstat(prefix.c_str(), &info) == 0;
      const bool last = slash == std::string::npos;
      if (!there || last || S_ISLNK(info.st_mode)) directories.insert(DirectoryOf(prefix));
      if (!there) return directories;
      if (S_ISLNK(info.st_mode)) {
        char target[PATH_MAX];
        const ssize_t size = readlink(prefix.c_str(), target, sizeof target);
        if (size <= 0) return directories;
        next = std::string(target, size);
        if (next[0] != '/') next = absl::StrCat(DirectoryOf(prefix), "/", next);
        if (!last) absl::StrAppend(&next, at.substr(slash));
        break;
      }
      if (last) return directories;
    }
    at = std::move(next);
  }
  return directories;
}

void Watch(const LookOrder& order, Look* look) {
  if (order.inotify < 0 || order.plan.kind == SourceKind::kProgram) return;
  std::set<std::string> directories;
  for (const std::string& path : order.plan.paths) {
    directories.merge(DirectoriesOn(path));
    if (order.plan.kind == SourceKind::kDirectory) directories.insert(path);
  }
  for (const std::string& directory : directories) {
    const int watch = inotify_add_watch(order.inotify, directory.c_str(), kWatched | IN_ONLYDIR);
    if (watch >= 0) {
      look->watches.insert(watch);
    } else if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) {
      look->watch_error = absl::ErrnoToStatus(errno, absl::StrCat("watch ", directory));
    }
  }
}

// Whether nobody but root and we may change it: what runs as we do must be as safe as we are.
absl::Status CheckSafe(const std::string& what, const struct stat& info) {
  if (info.st_uid != 0 && info.st_uid != geteuid()) {
    return absl::PermissionDeniedError(
        absl::StrCat("not run: ", what, " belongs to user ", info.st_uid));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(
        absl::StrFormat("not run: others may write %s (mode %04o)", what, info.st_mode & 07777));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SafeProgram(const std::string& path) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) {
    return absl::ErrnoToStatus(errno, "not run");
  }
  const std::string real = resolved;
  for (const std::string& part : {DirectoryOf(path), DirectoryOf(real), real}) {
    struct stat info;
    if (stat(part.c_str(), &info) != 0) return absl::ErrnoToStatus(errno, "not run");
    ORCH_RETURN_IF_ERROR(CheckSafe(part == real ? "it" : part, info));
  }
  return real;
}

bool IsData(const std::string& path) {
  for (const char* ending : {".json", ".yaml", ".yml", ".txt"}) {
    if (absl::EndsWith(path, ending)) return true;
  }
  return false;
}

// What editors and packages leave behind.
bool IsLeftOver(const std::string& name) {
  if (absl::EndsWith(name, "~")) return true;
  for (const char* ending :
       {".bak", ".old", ".orig", ".rej", ".swp", ".tmp", ".rpmnew", ".rpmorig", ".rpmsave",
        ".dpkg-bak", ".dpkg-dist", ".dpkg-new", ".dpkg-old", ".dpkg-tmp"}) {
    if (absl::EndsWith(name, ending)) return true;
  }
  return false;
}

absl::StatusOr<std::string> ReadClasses(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, kClassesFileMax));
  const absl::StatusOr<std::vector<std::string>> classes = target::ParseClasses(text);
  if (!classes.ok()) return classes.status();
  return OneLine(*classes);
}

// One file of facts or classes. `name`: what it is called in `look`.
void ReadOne(const LookOrder& order, const std::string& path, const std::string& name,
             const struct stat& info, Look* look) {
  look->names.insert(name);
  const FileMark mark = MarkOf(info);
  const auto before = order.seen.find(name);
  if (before != order.seen.end() && before->second == mark) {
    look->seen[name] = mark;
    return;
  }
  if (look->bytes_read > kFactsHeldMax) {
    look->read.emplace(name, absl::ResourceExhaustedError(absl::StrCat(
                                 "not read: what was before it is more than ", kFactsHeldMax)));
    return;
  }
  const absl::Time now = absl::Now();
  absl::StatusOr<std::string> read =
      !S_ISREG(info.st_mode)                    ? absl::InvalidArgumentError("not a regular file")
      : order.plan.kind == SourceKind::kClasses ? ReadClasses(path)
                                                : ReadFactsFile(path, order.bytes_max);
  if (read.ok()) look->bytes_read += read->size();
  const absl::Duration age = now - TimeOf(info.st_mtim);
  if (!read.ok() && age >= absl::ZeroDuration() && age < kSettleTime &&
      !order.had_time.contains(name)) {
    look->unsettled.insert(name);
    return;
  }
  // Wrong content stays wrong until it changes; what else failed may do better the next time.
  const bool final = read.ok() || absl::IsInvalidArgument(read.status()) ||
                     absl::IsResourceExhausted(read.status());
  if (final && now - TimeOf(info.st_ctim) > kMarkDoubt) look->seen[name] = mark;
  look->read.emplace(name, std::move(read));
}

void ListProgram(const LookOrder& order, const std::string& name, std::string path,
                 const struct stat& info, Look* look) {
  look->names.insert(name);
  const FileMark mark = MarkOf(info);
  const auto before = order.seen.find(name);
  look->seen[name] = mark;
  look->programs[name] = {std::move(path), before != order.seen.end() && before->second != mark,
                          TimeOf(info.st_ctim)};
}

void LookAtEntry(const LookOrder& order, const std::string& path, Look* look) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    const int error = errno;
    if (error == ENOENT && lstat(path.c_str(), &info) != 0) return;  // gone meanwhile
    // Whether it would be a program, nobody can tell who did not run it before.
    if (!IsData(path) && !order.known.contains(path)) return;
    look->names.insert(path);
    look->read.emplace(path, absl::ErrnoToStatus(error, "stat"));
    return;
  }
  if (S_ISDIR(info.st_mode)) return;
  if (IsData(path)) return ReadOne(order, path, path, info, look);
  if (!S_ISREG(info.st_mode) || (info.st_mode & 0111) == 0) return;
  absl::StatusOr<std::string> program = SafeProgram(path);
  if (program.ok()) return ListProgram(order, path, *std::move(program), info, look);
  look->names.insert(path);
  look->read.emplace(path, program.status());
}

void LookAtDirectory(const LookOrder& order, Look* look) {
  const std::string& directory = order.plan.paths[0];
  DIR* const open = opendir(directory.c_str());
  if (open == nullptr) {
    look->status = absl::ErrnoToStatus(errno, absl::StrCat("read directory ", directory));
    return;
  }
  const absl::Cleanup closer = [open] { closedir(open); };
  size_t files = 0;
  while (true) {
    errno = 0;
    const dirent* const entry = readdir(open);
    if (entry == nullptr) {
      // Else what comes behind the error would be taken to be gone.
      if (errno != 0) {
        look->status = absl::ErrnoToStatus(errno, absl::StrCat("read directory ", directory));
      }
      return;
    }
    const std::string name = entry->d_name;
    if (name[0] == '.' || IsLeftOver(name)) continue;
    if (++files > kFactFilesMax) {
      look->status = absl::ResourceExhaustedError(
          absl::StrCat("read directory ", directory, ": more than ", kFactFilesMax, " files"));
      return;
    }
    LookAtEntry(order, absl::StrCat(directory, "/", name), look);
  }
}

void LookAtFiles(const LookOrder& order, Look* look) {
  const bool classes = order.plan.kind == SourceKind::kClasses;
  for (const std::string& path : order.plan.paths) {
    struct stat info;
    if (stat(path.c_str(), &info) == 0) {
      ReadOne(order, path, classes ? path : "", info, look);
      continue;
    }
    const absl::Status status = absl::ErrnoToStatus(errno, absl::StrCat("stat ", path));
    if (!classes) {
      look->status = status;
      continue;
    }
    look->names.insert(path);
    look->read.emplace(path, status);
  }
}

void LookAtProgram(const LookOrder& order, Look* look) {
  std::string tried;
  for (const std::string& path : order.plan.paths) {
    struct stat info;
    if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(path.c_str(), X_OK) == 0) {
      return ListProgram(order, "", path, info, look);
    }
    absl::StrAppend(&tried, tried.empty() ? "" : ", ", path);
  }
  look->status = absl::NotFoundError(absl::StrCat("no program: ", tried));
}

}  // namespace

std::string OneLine(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<std::string> ReadFactsFile(const std::string& path, size_t max) {
  ORCH_ASSIGN_OR_RETURN(const std::string text, base::ReadFile(path, max));
  const absl::StatusOr<nlohmann::json> facts =
      absl::EndsWith(path, ".txt")    ? target::ParseTextFacts(text)
      : absl::EndsWith(path, ".json") ? target::ParseJsonFacts(text)
                                      : target::ParseYamlFacts(text);
  if (!facts.ok()) return facts.status();
  return OneLine(*facts);
}

Look LookAt(const LookOrder& order) {
  Look look;
  Watch(order, &look);  // first: what changes from here on is told
  switch (order.plan.kind) {
    case SourceKind::kFile:
    case SourceKind::kClasses:
      LookAtFiles(order, &look);
      break;
    case SourceKind::kDirectory:
      LookAtDirectory(order, &look);
      break;
    case SourceKind::kProgram:
      LookAtProgram(order, &look);
      break;
  }
  // The missing of what may be missing is a finding, not a fault.
  if (order.plan.optional && absl::IsNotFound(look.status)) look.status = absl::OkStatus();
  return look;
}

}  // namespace orch::nodeagent
