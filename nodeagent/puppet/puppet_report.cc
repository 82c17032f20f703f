// SPDX-License-Identifier: Apache-2.0

// A report is read as a stream of values, because Puppet's reports grow to megabytes and a document
// model would take thirty times that on every node of the fleet. Every part that is kept has a
// limit, and what was left out is counted, so that the result says of itself that it is not
// complete. A file may have been cut short: a report counts only if the field that follows the
// resources was seen, else it is DataLoss.

#include "nodeagent/puppet/puppet_report.h"

#include <algorithm>
#include <deque>
#include <streambuf>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "api/change.h"
#include "base/status.h"
#include "nodeagent/puppet/change_set.h"
#include "nodeagent/puppet/report_reader.h"
#include "nodeagent/text/clean_text.h"
#include "nodeagent/text/plain_file.h"

namespace orch::nodeagent {
namespace {

using orch::v1::ResourceChange;

std::string Cut(absl::string_view text) { return CutReportText(text); }

// Puppet logs a difference as text that begins with a line break, which nothing else does.
bool IsDiff(absl::string_view source, absl::string_view message) {
  return absl::StartsWith(message, "\n") && source != "Puppet";
}

struct Diff {
  std::string source;
  std::string text;
  bool whole = true;
};

// Whether a log line's source is this property: `/Stage[main]/Motd/File[/etc/motd]/content`, or of
// a provider, which does not name it, `Augeas[x](provider=augeas)`.
bool IsSource(absl::string_view source, const ResourceChange& change) {
  return absl::EndsWith(source, absl::StrCat("/", change.resource(), "/", change.property())) ||
         absl::StartsWith(source, absl::StrCat(change.resource(), "(provider="));
}

// A report's bytes for yaml-cpp, which keeps a line in memory while it looks for its end: the text
// ends where a line is longer than kReportLineMax.
class ReportBuffer : public std::streambuf {
 public:
  explicit ReportBuffer(PlainFile file) : file_(std::move(file)) {}

 protected:
  int_type underflow() override {
    absl::StatusOr<std::string> read = file_.Read(offset_, kChunk);
    if (!read.ok() || read->empty() || offset_ + read->size() > kReportMax) {
      return traits_type::eof();
    }
    offset_ += read->size();
    chunk_ = *std::move(read);
    for (const char c : chunk_) {
      line_ = c == '\n' ? 0 : line_ + 1;
      if (line_ > kReportLineMax) return traits_type::eof();
    }
    setg(chunk_.data(), chunk_.data(), chunk_.data() + chunk_.size());
    return traits_type::to_int_type(chunk_[0]);
  }

 private:
  static constexpr size_t kChunk = 64 << 10;
  const PlainFile file_;
  uint64_t offset_ = 0;
  size_t line_ = 0;
  std::string chunk_;
};

bool IsErrorLevel(absl::string_view level) {
  return level == "err" || level == "alert" || level == "emerg" || level == "crit";
}

orch::v1::ResourceChangeStatus StatusOf(absl::string_view event_status) {
  if (event_status == "success") return orch::v1::RESOURCE_CHANGE_STATUS_CHANGED;
  if (event_status == "failure") return orch::v1::RESOURCE_CHANGE_STATUS_FAILED;
  if (event_status == "noop") return orch::v1::RESOURCE_CHANGE_STATUS_NOOP;
  return orch::v1::RESOURCE_CHANGE_STATUS_UNSPECIFIED;
}

// Picks what is wanted from the stream of values.
class Picker : public YamlVisitor {
 public:
  absl::StatusOr<PuppetReport> Take() && {
    if (!ended_ || report_.status.empty() || report_.transaction_uuid.empty()) {
      return absl::DataLossError("truncated, or no report of Puppet");
    }
    report_.errors = std::move(errors_);
    report_.log_times.assign(log_times_.begin(), log_times_.end());
    for (ResourceChange& change : skipped_) Keep(std::move(change));
    report_.changes_omitted += skipped_omitted_;
    if (report_.resources.has_value()) report_.resources->set_noop_pending(noop_pending_);
    report_.change_set = change_set_.Make();
    return std::move(report_);
  }

  void OnEnter(const Path& path) override {
    if (path.size() == 1) section_ = path[0];
    if (section_ == "resource_statuses" && path.size() == 2) {
      resource_name_ = path[1];
      resource_.set_resource(Cut(path[1]));
    }
  }

  void OnLeave(const Path& path) override {
    if (path.size() == 1) {
      statuses_seen_ |= path[0] == "resource_statuses";
      section_.clear();
    } else if (section_ == "logs" && path.size() == 2) {
      FinishLog();
    } else if (section_ == "metrics" && path.size() == 4) {
      FinishMetric(path[1]);
    } else if (section_ == "resource_statuses" && path.size() == 2) {
      FinishResource();
    } else if (section_ == "resource_statuses" && path.size() == 4 && path[2] == "events") {
      FinishEvent();
    }
  }

  void OnValue(const Path& path, const std::string& value) override {
    if (path.size() == 1) {
      RootValue(path[0], value);
    } else if (section_ == "logs" && path.size() == 3) {
      LogValue(path[2], value);
    } else if (section_ == "metrics" && path.size() == 5) {
      row_.push_back(Cut(value));
    } else if (section_ == "resource_statuses" && path.size() == 3) {
      ResourceValue(path, value);
    } else if (section_ == "resource_statuses" && path.size() >= 5 && path[2] == "events") {
      EventValue(path, value);
    }
  }

 private:
  void RootValue(const std::string& key, const std::string& value) {
    const std::string text = Cut(value);
    if (key == "time") report_.time = text;
    if (key == "status") report_.status = text;
    if (key == "transaction_uuid") report_.transaction_uuid = text;
    if (key == "catalog_uuid") report_.catalog_uuid = text;
    if (key == "cached_catalog_status") report_.cached_catalog_status = text;
    if (key == "configuration_version") report_.configuration_version = text;
    if (key == "environment") report_.environment = text;
    if (key == "puppet_version") report_.puppet_version = text;
    if (key == "noop") report_.noop = value == "true";
    if (key == "noop_pending") report_.noop_pending = value == "true";
    // The one field that always follows the resources: a report that was cut lacks it.
    if (key == "corrective_change") ended_ = statuses_seen_;
  }

  void LogValue(const std::string& key, const std::string& value) {
    if (key == "level") log_level_ = std::string(absl::StripPrefix(value, ":"));
    if (key == "message") OnLogMessage(value);
    if (key == "source") log_source_ = Cut(value);
    if (key == "time") log_time_ = Cut(value);
    if (key == "file") log_file_ = Cut(value);
    uint32_t line = 0;
    if (key == "line" && absl::SimpleAtoi(value, &line)) log_line_ = line;
  }

  // Whether it is a difference is known when its source is.
  void OnLogMessage(absl::string_view value) {
    log_message_ = Cut(value);
    if (!absl::StartsWith(value, "\n") || diffs_bytes_ >= kDiffsBytesMax) return;
    value.remove_prefix(1);
    log_diff_.text = CleanText(value, kDiffMax);
    log_diff_.whole = value.size() <= kDiffMax;
  }

  void FinishLog() {
    if (!log_diff_.text.empty() && IsDiff(log_source_, "\n")) {
      log_diff_.source = log_source_;
      diffs_bytes_ += log_diff_.text.size();
      diffs_.push_back(std::move(log_diff_));
    }
    log_diff_ = Diff();
    if (IsErrorLevel(log_level_) && log_source_ != "Facter") {
      errors_.Add(MakePuppetError(log_source_, log_message_, log_file_, log_line_));
    }
    log_times_.push_back(log_time_);
    if (log_times_.size() > kLogTimesMax) log_times_.pop_front();
    for (std::string* text : {&log_level_, &log_message_, &log_source_, &log_time_, &log_file_}) {
      text->clear();
    }
    log_line_ = 0;
  }

  void FinishMetric(const std::string& metric) {
    const std::vector<std::string> row = std::exchange(row_, {});
    if (row.size() != 3) return;
    double seconds = 0;
    if (metric == "time" && row[0] == "config_retrieval" && absl::SimpleAtod(row[2], &seconds)) {
      report_.config_retrieval_time = absl::Seconds(seconds);
    }
    uint64_t count = 0;
    if (metric != "resources" || !absl::SimpleAtoi(row[2], &count)) return;
    if (!report_.resources.has_value()) report_.resources.emplace();
    orch::v1::ResourceCounts& counts = *report_.resources;
    if (row[0] == "total") counts.set_total(count);
    if (row[0] == "changed") counts.set_changed(count);
    if (row[0] == "failed") counts.set_failed(count);
    if (row[0] == "out_of_sync") counts.set_out_of_sync(count);
    if (row[0] == "skipped") counts.set_skipped(count);
    if (row[0] == "corrective_change") counts.set_corrective_change(count);
    if (row[0] == "failed_to_restart") counts.set_failed_to_restart(count);
    if (row[0] == "restarted") counts.set_restarted(count);
  }

  void ResourceValue(const Path& path, const std::string& value) {
    const std::string& key = path[2];
    uint32_t line = 0;
    if (key == "file") resource_.set_file(Cut(value));
    if (key == "line" && absl::SimpleAtoi(value, &line)) resource_.set_line(line);
    if (key == "failed") failed_ = value == "true";
    if (key == "failed_to_restart") failed_to_restart_ = value == "true";
    if (key == "skipped") is_skipped_ = value == "true";
  }

  void EventValue(const Path& path, const std::string& value) {
    const std::string& key = path[4];
    if (key == "desired_value") AddValue(path, value, &changed_.desired);
    if (key == "previous_value") AddValue(path, value, &changed_.previous);
    if (path.size() > 5) return;
    if (key == "property") changed_.property = value;
    if (key == "redacted") changed_.redacted |= value == "true";
    if (key == "message") event_.set_message(Cut(value));
    if (key == "status") event_.set_status(StatusOf(value));
    if (key == "corrective_change") event_.set_corrective(value == "true");
  }

  // A list or hash comes as its values, each with the keys that lead to it.
  static void AddValue(const Path& path, const std::string& value, std::string* out) {
    if (path.size() == 5) {
      *out = value;
      return;
    }
    for (size_t i = 5; i < path.size(); i++) AppendCounted(path[i], out);
    AppendCounted(value, out);
  }

  void FinishEvent() {
    ResourceChange event = std::exchange(event_, {});
    ChangedProperty changed = std::exchange(changed_, {});
    if (event.status() == orch::v1::RESOURCE_CHANGE_STATUS_UNSPECIFIED) return;
    event.set_resource(resource_.resource());
    event.set_property(Cut(changed.property));
    if (api::IsRefresh(event)) {
      change_set_.AddRefresh();
      // Classes and stages are no resources that anybody counts.
      has_noop_ |= event.status() == orch::v1::RESOURCE_CHANGE_STATUS_NOOP && !IsContainer();
    } else {
      has_failure_ |= event.status() == orch::v1::RESOURCE_CHANGE_STATUS_FAILED;
      has_noop_ |= event.status() == orch::v1::RESOURCE_CHANGE_STATUS_NOOP;
      changed.redacted |= changed.desired == "[redacted]" || changed.previous == "[redacted]";
      changed.resource = resource_name_;
      changed.status = event.status();
      change_set_.Add(changed);
      Describe(changed, &event);
    }
    // File and line may come after the events: put together at the resource's end.
    if (events_.size() < kChangesMax) {
      events_.push_back(std::move(event));
    } else {
      report_.changes_omitted++;
    }
  }

  bool IsContainer() const {
    return absl::StartsWith(resource_name_, "Class[") || absl::StartsWith(resource_name_, "Stage[");
  }

  void Describe(const ChangedProperty& changed, ResourceChange* event) {
    event->set_redacted(changed.redacted);
    if (changed.redacted) return;
    event->set_previous_value(Cut(changed.previous));
    event->set_desired_value(Cut(changed.desired));
    for (Diff& diff : diffs_) {
      if (!IsSource(diff.source, *event)) continue;
      if (!diff.whole) event->set_diff_omitted("too_long");
      event->set_diff(std::exchange(diff.text, ""));
    }
  }

  void FinishResource() {
    for (ResourceChange& event : std::exchange(events_, {})) {
      event.set_file(resource_.file());
      event.set_line(resource_.line());
      Keep(std::move(event));
    }
    if ((failed_ && !has_failure_) || failed_to_restart_) {
      ResourceChange change = resource_;
      change.set_status(orch::v1::RESOURCE_CHANGE_STATUS_FAILED);
      change.set_message(failed_to_restart_ ? "failed to restart" : "failed");
      change_set_.Add({resource_name_, "", change.message(), "", change.status()});
      Keep(std::move(change));
    } else if (is_skipped_) {
      ResourceChange change = resource_;
      change.set_status(orch::v1::RESOURCE_CHANGE_STATUS_SKIPPED);
      if (skipped_.size() < kSkippedMax) {
        skipped_.push_back(std::move(change));
      } else {
        skipped_omitted_++;
      }
    }
    noop_pending_ += has_noop_;
    resource_.Clear();
    failed_ = failed_to_restart_ = is_skipped_ = has_failure_ = has_noop_ = false;
  }

  void Keep(ResourceChange change) {
    // Differences have a bound of their own.
    const size_t size = change.ByteSizeLong() - change.diff().size();
    if (report_.changes.size() >= kChangesMax || changes_bytes_ + size > kChangesBytesMax) {
      report_.changes_omitted++;
      return;
    }
    changes_bytes_ += size;
    report_.changes.push_back(std::move(change));
  }

  PuppetReport report_;
  std::string section_;
  bool statuses_seen_ = false;
  bool ended_ = false;
  size_t changes_bytes_ = 0;
  uint64_t noop_pending_ = 0;
  PuppetErrors errors_;
  std::deque<std::string> log_times_;
  std::vector<ResourceChange> skipped_;
  uint32_t skipped_omitted_ = 0;
  ChangeSetMaker change_set_;
  std::vector<Diff> diffs_;
  size_t diffs_bytes_ = 0;
  // The log line, metric row, resource and event that are being read.
  std::string log_level_, log_message_, log_source_, log_time_, log_file_;
  uint32_t log_line_ = 0;
  Diff log_diff_;
  std::vector<std::string> row_;
  std::string resource_name_;
  ResourceChange resource_;
  bool failed_ = false, failed_to_restart_ = false, is_skipped_ = false;
  bool has_failure_ = false, has_noop_ = false;
  std::vector<ResourceChange> events_;
  ResourceChange event_;
  ChangedProperty changed_;
};

}  // namespace

std::optional<absl::Time> ParsePuppetTime(absl::string_view text) {
  absl::Time time;
  for (const char* format : {"%Y-%m-%d%ET%H:%M:%E*S%Ez", "%Y-%m-%d %H:%M:%E*S %Ez"}) {
    if (absl::ParseTime(format, text, &time, nullptr)) return time;
  }
  return std::nullopt;
}

absl::StatusOr<PuppetReport> ParsePuppetReport(std::istream& in) {
  Picker picker;
  ORCH_RETURN_IF_ERROR(VisitYaml(in, &picker));
  return std::move(picker).Take();
}

absl::StatusOr<PuppetReport> ReadPuppetReport(const std::string& path) {
  ORCH_ASSIGN_OR_RETURN(PlainFile file, PlainFile::Open(path));
  if (file.size() > kReportMax) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than ", kReportMax, " bytes"));
  }
  ReportBuffer buffer(std::move(file));
  std::istream in(&buffer);
  absl::StatusOr<PuppetReport> report = ParsePuppetReport(in);
  if (!report.ok()) return base::Annotate(report.status(), path);
  return report;
}

PuppetReportHead PeekReportHead(const std::string& path) {
  PuppetReportHead head;
  absl::StatusOr<PlainFile> file = PlainFile::Open(path);
  if (!file.ok()) return head;
  PlainLines lines(*std::move(file), kReportTextMax, kReportHeadMax);
  for (std::string line; lines.Next(&line);) {
    const std::pair<absl::string_view, absl::string_view> field =
        absl::StrSplit(line, absl::MaxSplits(": ", 1));
    const std::string value = Cut(absl::StripPrefix(absl::StripSuffix(field.second, "'"), "'"));
    if (field.first == "transaction_uuid") head.transaction_uuid = value;
    if (field.first == "status") head.status = value;
    if (field.first == "configuration_version") head.configuration_version = value;
    if (field.first == "noop") head.noop = value == "true";
    if (field.first == "noop_pending") head.noop_pending = value == "true";
    if (absl::StartsWith(line, "logs:") || absl::StartsWith(line, "metrics:")) break;
  }
  return head;
}

}  // namespace orch::nodeagent
