// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// Writes figures in Prometheus' text format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/), for all three daemons. Nothing is
// registered anywhere: figures are plain members of whoever counts, and a page is written when
// somebody asks for it. docs/monitoring.md lists every family. Pure.

namespace orch::base {

// A histogram of how long something took. Observing costs one addition and a search in 16 numbers.
class LatencyHistogram {
 public:
  // Upper bounds of the buckets, seconds: from a round trip on a quiet bus to a long Puppet run.
  static constexpr std::array<double, 16> kBounds = {
      0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600};
  void Observe(absl::Duration took);
  // The counts by bucket, each by itself; the last one counts what is above all bounds.
  const std::array<uint64_t, kBounds.size() + 1>& counts() const { return counts_; }
  double sum_seconds() const { return sum_seconds_; }

 private:
  std::array<uint64_t, kBounds.size() + 1> counts_{};
  double sum_seconds_ = 0;
};

// Writes a page, one family after the other: first what the family is, then its values.
class MetricsPage {
 public:
  using Labels = std::initializer_list<std::pair<absl::string_view, absl::string_view>>;

  // Every name begins with `prefix`, `orch_`.
  explicit MetricsPage(absl::string_view prefix) : prefix_(prefix) {}

  // `name` without the prefix, with its base unit; a counter's ends in `_total`. `about` is a
  // sentence.
  MetricsPage& Gauge(absl::string_view name, absl::string_view about);
  MetricsPage& Counter(absl::string_view name, absl::string_view about);
  MetricsPage& Histogram(absl::string_view name, absl::string_view about);

  // Add a value to the family that was begun last. Values of labels may be any text; they are
  // escaped.
  MetricsPage& Value(uint64_t value, Labels labels = {});
  MetricsPage& Value(int value, Labels labels = {}) {
    return Value(static_cast<double>(value), labels);
  }
  MetricsPage& Value(bool value, Labels labels = {}) {
    return Value(static_cast<uint64_t>(value), labels);
  }
  MetricsPage& Value(double value, Labels labels = {});
  MetricsPage& Value(const LatencyHistogram& value, Labels labels = {});
  // Writes a time as seconds since 1970, and nothing where it is infinite.
  MetricsPage& Value(absl::Time value, Labels labels = {});

  // `build_info`, and what Prometheus' own clients tell of their process: CPU, memory,
  // descriptors, start. `own_prefix` where another program's figures of the same names stand on
  // the same page, as in a textfile of node_exporter.
  void Process(bool own_prefix = false);

  std::string Take() { return std::move(text_); }

 private:
  MetricsPage& Family(absl::string_view name, absl::string_view type, absl::string_view about);
  void Line(absl::string_view suffix, Labels labels, absl::string_view last_label,
            absl::string_view value);

  std::string prefix_;
  std::string name_;
  std::string text_;
};

}  // namespace orch::base
