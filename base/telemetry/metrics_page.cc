// SPDX-License-Identifier: Apache-2.0
#include "base/telemetry/metrics_page.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "base/version.h"

namespace orch::base {
namespace {

std::string Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  char buffer[32];
  // The shortest text that is read back as this very number.
  const auto end = std::to_chars(buffer, buffer + sizeof(buffer), value).ptr;
  return std::string(buffer, end);
}

std::string LabelText(absl::string_view value) {
  return absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}, {"\n", "\\n"}});
}

// A file of /proc; empty if it can't be read. Small, and never waits for a disk.
std::string ReadProc(const char* path) {
  std::string out(4096, '\0');
  std::FILE* const file = std::fopen(path, "re");
  if (file == nullptr) return "";
  out.resize(std::fread(out.data(), 1, out.size(), file));
  std::fclose(file);
  return out;
}

size_t OpenDescriptors() {
  DIR* const directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  size_t count = 0;
  while (const dirent* entry = readdir(directory)) count += entry->d_name[0] != '.';
  closedir(directory);
  return count - 1;  // the directory's own
}

// The fields of /proc/self/stat behind the name, numbered as in proc(5), where the state is 3.
class Stat {
 public:
  Stat() {
    const std::string text = ReadProc("/proc/self/stat");
    const size_t name_end = text.rfind(')');
    if (name_end != std::string::npos) fields_ = absl::StrSplit(text.substr(name_end + 2), ' ');
  }
  double at(size_t field) const {
    double value = 0;
    if (field - 3 < fields_.size() && !absl::SimpleAtod(fields_[field - 3], &value)) return 0;
    return value;
  }

 private:
  std::vector<std::string> fields_;
};

// When the machine was booted, seconds since 1970.
double BootSeconds() {
  const std::string text = ReadProc("/proc/stat");
  const size_t at = text.find("\nbtime ");
  double value = 0;
  if (at != std::string::npos) {
    const absl::string_view rest = absl::string_view(text).substr(at + 7);
    if (!absl::SimpleAtod(rest.substr(0, rest.find('\n')), &value)) return 0;
  }
  return value;
}

}  // namespace

void LatencyHistogram::Observe(absl::Duration took) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(took));
  const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
  ++counts_[bucket - kBounds.begin()];
  sum_seconds_ += seconds;
}

MetricsPage& MetricsPage::Family(absl::string_view name, absl::string_view type,
                                 absl::string_view about) {
  name_ = absl::StrCat(prefix_, name);
  absl::StrAppend(&text_, "# HELP ", name_, " ",
                  absl::StrReplaceAll(about, {{"\\", "\\\\"}, {"\n", "\\n"}}), "\n# TYPE ", name_,
                  " ", type, "\n");
  return *this;
}

MetricsPage& MetricsPage::Gauge(absl::string_view name, absl::string_view about) {
  return Family(name, "gauge", about);
}

MetricsPage& MetricsPage::Counter(absl::string_view name, absl::string_view about) {
  ORCH_CHECK(absl::EndsWith(name, "_total"));
  return Family(name, "counter", about);
}

MetricsPage& MetricsPage::Histogram(absl::string_view name, absl::string_view about) {
  ORCH_CHECK(absl::EndsWith(name, "_seconds"));
  return Family(name, "histogram", about);
}

void MetricsPage::Line(absl::string_view suffix, Labels labels, absl::string_view last_label,
                       absl::string_view value) {
  absl::StrAppend(&text_, name_, suffix);
  const char* before = "{";
  for (const auto& [label, label_value] : labels) {
    absl::StrAppend(&text_, before, label, "=\"", LabelText(label_value), "\"");
    before = ",";
  }
  if (!last_label.empty()) absl::StrAppend(&text_, before, last_label);
  absl::StrAppend(&text_, labels.size() == 0 && last_label.empty() ? " " : "} ", value, "\n");
}

MetricsPage& MetricsPage::Value(uint64_t value, Labels labels) {
  Line("", labels, "", absl::StrCat(value));
  return *this;
}

MetricsPage& MetricsPage::Value(double value, Labels labels) {
  Line("", labels, "", Number(value));
  return *this;
}

MetricsPage& MetricsPage::Value(absl::Time value, Labels labels) {
  if (value == absl::InfinitePast() || value == absl::InfiniteFuture()) return *this;
  return Value(static_cast<double>(absl::ToUnixMillis(value)) / 1000, labels);
}

MetricsPage& MetricsPage::Value(const LatencyHistogram& value, Labels labels) {
  uint64_t sum = 0;
  for (size_t i = 0; i < value.counts().size(); ++i) {
    sum += value.counts()[i];
    const bool last = i == LatencyHistogram::kBounds.size();
    const std::string bound = last ? "+Inf" : Number(LatencyHistogram::kBounds[i]);
    Line("_bucket", labels, absl::StrCat("le=\"", bound, "\""), absl::StrCat(sum));
  }
  Line("_sum", labels, "", Number(value.sum_seconds()));
  Line("_count", labels, "", absl::StrCat(sum));
  return *this;
}

void MetricsPage::Process(bool own_prefix) {
  Gauge("build_info", "The version, in a label.").Value(1, {{"version", kVersion}});
  const std::string prefix = prefix_;
  if (!own_prefix) prefix_.clear();
  const Stat stat;
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
  rlimit files = {};
  getrlimit(RLIMIT_NOFILE, &files);
  Counter("process_cpu_seconds_total", "CPU time of user and system.")
      .Value((stat.at(14) + stat.at(15)) / ticks);
  Gauge("process_resident_memory_bytes", "Resident memory.").Value(stat.at(24) * page);
  Gauge("process_virtual_memory_bytes", "Virtual memory.").Value(stat.at(23));
  Gauge("process_start_time_seconds", "When the process started, since 1970.")
      .Value(BootSeconds() + stat.at(22) / ticks);
  Gauge("process_open_fds", "Open file descriptors.").Value(uint64_t{OpenDescriptors()});
  Gauge("process_max_fds", "File descriptors that may be open.").Value(uint64_t{files.rlim_cur});
  prefix_ = prefix;
}

}  // namespace orch::base
