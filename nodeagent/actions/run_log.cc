// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/actions/run_log.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "nodeagent/text/clean_text.h"
#include "nodeagent/text/plain_file.h"

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

// To the microsecond, which all of Puppet's ways to write it keep; InfinitePast if it is no time.
absl::Time InstantOf(const std::string& text) {
  const std::optional<absl::Time> time = ParsePuppetTime(text);
  if (!time.has_value()) return absl::InfinitePast();
  return absl::FromUnixMicros(absl::ToUnixMicros(*time));
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
  if (const std::optional<absl::Time> time = ParsePuppetTime(TextAt(parsed, "time"))) {
    const timespec parts = absl::ToTimespec(*time);
    progress.mutable_time()->set_seconds(parts.tv_sec);
    progress.mutable_time()->set_nanos(static_cast<int32_t>(parts.tv_nsec));
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
  const absl::StatusOr<PlainFile> file = PlainFile::Open(path_);
  if (!file.ok() || file->size() <= offset_) return out;
  const absl::StatusOr<std::string> read = file->Read(offset_, kLogReadMax);
  if (!read.ok() || read->empty()) return out;
  const std::string& chunk = *read;
  offset_ += chunk.size();
  size_t from = 0;
  for (size_t end = chunk.find('\n'); end != std::string::npos; end = chunk.find('\n', from)) {
    partial_.append(chunk, from, end - from);
    if (std::exchange(skipping_, false) || partial_.size() > kLogLineMax) {
      omitted_++;
    } else {
      OnLine(partial_, &out);
    }
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

namespace {

// A difference of a file, which Puppet logs as text that begins with a line break. It comes with
// the result, to those who may read it.
bool IsDiff(const std::string& line) {
  const json parsed = json::parse(line, nullptr, false);
  if (!parsed.is_object()) return false;
  const auto message = parsed.find("message");
  return message != parsed.end() && message->is_string() &&
         absl::StartsWith(message->get_ref<const std::string&>(), "\n") &&
         TextAt(parsed, "source") != "Puppet";
}

}  // namespace

void RunLog::OnLine(const std::string& line, std::vector<PuppetRunProgress>* out) {
  if (absl::StrContains(line, "\"\\n") && IsDiff(line)) return;
  std::optional<PuppetRunProgress> progress = ParseLogLine(line);
  if (!progress.has_value() || progress->source() == "Facter" ||
      LogLevelRank(progress->level()) < least_rank_) {
    return;
  }
  if (passed_ < kProgressMax) {
    passed_++;
    out->push_back(*std::move(progress));
    return;
  }
  omitted_++;
  if (passed_ > kProgressMax) return;
  passed_++;
  PuppetRunProgress note;
  note.set_level("notice");
  note.set_message(absl::StrCat("more than ", kProgressMax, " lines; the rest is not shown"));
  note.set_source("orch");
  *note.mutable_time() = progress->time();
  out->push_back(std::move(note));
}

RunLogSummary SearchRunLog(const std::string& path, const std::vector<std::string>& times) {
  RunLogSummary summary;
  // Report and log may write the same instant in two ways.
  std::set<absl::Time> wanted;
  for (const std::string& time : times) wanted.insert(InstantOf(time));
  wanted.erase(absl::InfinitePast());
  absl::StatusOr<PlainFile> file = PlainFile::Open(path);
  if (!file.ok() || file->size() > kLogSearchMax) return summary;
  PlainLines lines(*std::move(file), kLogLineMax, kLogSearchMax);
  for (std::string line; lines.Next(&line);) {
    const json parsed = json::parse(line, nullptr, false);
    if (!parsed.is_object()) continue;
    const std::string level = TextAt(parsed, "level");
    const std::string source = TextAt(parsed, "source");
    const std::string message = TextAt(parsed, "message");
    if (source == "Facter" || LogLevelRank(level) < kNoticeRank) continue;
    summary.has_lines = true;
    summary.has_a_time |= wanted.contains(InstantOf(TextAt(parsed, "time")));
    if (source == "Puppet" && absl::StrContains(message, "already in progress; skipping")) {
      summary.says_locked = true;
    }
    if (source == "Puppet" && absl::StrContains(message, "administratively disabled")) {
      summary.says_disabled = true;
    }
    if (LogLevelRank(level) < kErrorRank) continue;
    if (source == "Puppet" && (absl::StrContains(message, "strict_environment_mode is set") ||
                               absl::StrContains(message, "not found on server, aborting run"))) {
      summary.says_environment = true;
    }
    const json number = parsed.value("line", json());
    summary.errors.Add(MakePuppetError(source, message, TextAt(parsed, "file"),
                                       number.is_number_unsigned() ? number.get<uint32_t>() : 0));
  }
  return summary;
}

}  // namespace orch::nodeagent
