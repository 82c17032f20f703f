// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/run_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "base/proto_time.h"
#include "nodeagent/puppet/puppet_report.h"
#include "nodeagent/text/clean_text.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;
using orch::v1::PuppetRunProgress;

constexpr int kNoticeRank = 2;
constexpr int kErrorRank = 4;

std::string TextAt(const json& line, const char* name) {
  const auto field = line.find(name);
  if (field == line.end() || !field->is_string()) return "";
  return CleanText(field->get_ref<const std::string&>(), kProgressTextMax);
}

}  // namespace

int LogLevelRank(const std::string& level) {
  if (level == "debug") return 0;
  if (level == "info") return 1;
  if (level == "notice") return kNoticeRank;
  if (level == "warning") return 3;
  return kErrorRank;
}

std::optional<PuppetRunProgress> ParseLogLine(const std::string& line) {
  const json parsed = json::parse(line, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  PuppetRunProgress progress;
  progress.set_level(TextAt(parsed, "level"));
  progress.set_message(TextAt(parsed, "message"));
  progress.set_source(TextAt(parsed, "source"));
  progress.set_file(TextAt(parsed, "file"));
  const json number = parsed.value("line", json());
  if (number.is_number_unsigned()) progress.set_line(number.get<uint32_t>());
  absl::Time time;
  if (absl::ParseTime(absl::RFC3339_full, TextAt(parsed, "time"), &time, nullptr)) {
    *progress.mutable_time() = ToTimestamp(time);
  }
  if (progress.level().empty()) return std::nullopt;
  return progress;
}

void RunLog::Resume(Position position) {
  offset_ = position.offset;
  passed_ = position.passed;
}

std::vector<PuppetRunProgress> RunLog::ReadMore() {
  std::vector<PuppetRunProgress> out;
  const int fd = open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return out;
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat info;
  if (fstat(fd, &info) != 0 || static_cast<uint64_t>(info.st_size) <= offset_) return out;
  std::string chunk(std::min<uint64_t>(kLogReadMax, info.st_size - offset_), '\0');
  const ssize_t size = pread(fd, chunk.data(), chunk.size(), static_cast<off_t>(offset_));
  if (size <= 0) return out;
  chunk.resize(size);
  offset_ += size;
  size_t from = 0;
  for (size_t end = chunk.find('\n'); end != std::string::npos; end = chunk.find('\n', from)) {
    partial_.append(chunk, from, end - from);
    if (!std::exchange(skipping_, false) && partial_.size() <= kLogLineMax) OnLine(partial_, &out);
    partial_.clear();
    from = end + 1;
  }
  partial_.append(chunk, from, std::string::npos);
  if (partial_.size() > kLogLineMax) {
    skipping_ = true;
    partial_.clear();
  }
  return out;
}

void RunLog::OnLine(const std::string& line, std::vector<PuppetRunProgress>* out) {
  if (passed_ > kProgressMax) return;
  std::optional<PuppetRunProgress> progress = ParseLogLine(line);
  if (!progress.has_value() || progress->source() == "Facter" ||
      LogLevelRank(progress->level()) < least_rank_) {
    return;
  }
  if (++passed_ <= kProgressMax) {
    out->push_back(*std::move(progress));
    return;
  }
  PuppetRunProgress note;
  note.set_level("notice");
  note.set_message(absl::StrCat("more than ", kProgressMax, " lines; the rest is not shown"));
  note.set_source("orch");
  *note.mutable_time() = progress->time();
  out->push_back(std::move(note));
}

RunLogSummary SearchRunLog(const std::string& path, const std::vector<std::string>& times) {
  RunLogSummary summary;
  const std::set<std::string> wanted(times.begin(), times.end());
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return summary;
  if (static_cast<uint64_t>(info.st_size) > kLogSearchMax) return summary;
  std::ifstream in(path, std::ios::binary);
  std::string line;
  while (std::getline(in, line)) {
    if (line.size() > kLogLineMax) continue;
    const json parsed = json::parse(line, nullptr, false);
    if (!parsed.is_object()) continue;
    const std::string level = TextAt(parsed, "level");
    const std::string source = TextAt(parsed, "source");
    const std::string message = TextAt(parsed, "message");
    if (source == "Facter" || LogLevelRank(level) < kNoticeRank) continue;
    summary.has_lines = true;
    summary.has_a_time |= wanted.contains(TextAt(parsed, "time"));
    if (source == "Puppet" && absl::StrContains(message, "already in progress; skipping")) {
      summary.says_locked = true;
    }
    if (source == "Puppet" && absl::StrContains(message, "administratively disabled")) {
      summary.says_disabled = true;
    }
    if (LogLevelRank(level) < kErrorRank) continue;
    summary.errors.push_back(
        source == "Puppet" || source.empty() ? message : absl::StrCat(source, ": ", message));
    if (summary.errors.size() > kErrorsMax) summary.errors.pop_front();
  }
  return summary;
}

}  // namespace orch::nodeagent
