// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"

// One line per event on stderr: time, level, message, then `key=value` fields; or the same as one
// JSON object. Whatever could end or turn a line (control characters, Unicode's line separators and
// direction marks, bytes that are no UTF-8) is escaped: one event, one line. Thread-safe after
// SetUpLog. spdlog does the work. docs/monitoring.md says which fields there are.

namespace orch::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

// Numbers and bools stay what they are in JSON. A field without a value is left out.
struct LogField {
  LogField(absl::string_view k, const absl::AlphaNum& v) : key(k), value(v.Piece()) {}
  template <typename T, std::enable_if_t<std::is_arithmetic_v<T>, int> = 0>
  LogField(absl::string_view k, T v) : key(k), value(absl::StrCat(v)) {
    if constexpr (std::is_same_v<T, bool>) value = v ? "true" : "false";
    // JSON has no word for what is no number.
    bare = !std::is_floating_point_v<T> || std::isfinite(static_cast<double>(v));
  }
  absl::string_view key;
  std::string value;
  bool bare = false;
};

// Sets up the log; to be called once, early in main. `program` stands in each line of JSON. Before
// this call everything from kInfo on is logged as text.
void SetUpLog(absl::string_view program, LogLevel least, LogFormat format);
// Sets whose log this is: the field `key` (`node` or `controller`) with `identity` stands in each
// line of JSON. To be called once, before there are other threads.
void SetLogOrigin(absl::string_view key, absl::string_view identity);

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields = {});

inline void LogDebug(absl::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kDebug, m, f);
}
inline void LogInfo(absl::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kInfo, m, f);
}
inline void LogWarning(absl::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kWarning, m, f);
}
inline void LogError(absl::string_view m, std::initializer_list<LogField> f = {}) {
  Log(LogLevel::kError, m, f);
}

// Lets one line per key and minute through, so that a hostile or broken peer can't fill the disk.
// Bounded: above kKeysMax keys within a minute the rest share one. Not thread-safe: a member of
// whoever logs.
class LogLimiter {
 public:
  static constexpr size_t kKeysMax = 1000;
  // Whether to log now; `suppressed` is how many lines of this key were swallowed since the last
  // one.
  bool Admit(absl::string_view key, Now now, uint64_t* suppressed = nullptr);

 private:
  struct Entry {
    absl::Duration until;
    uint64_t suppressed = 0;
  };
  absl::flat_hash_map<std::string, Entry> entries_;
};

}  // namespace orch::base
