// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"

// One line per event on stderr: time, level, message, then `key=value` fields; or the same as one
// JSON object. Control characters are escaped: one event, one line. Thread-safe after SetUpLog.
// spdlog does the work.

namespace orch::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kText, kJson };

struct LogField {
  LogField(absl::string_view k, const absl::AlphaNum& v) : key(k), value(v.Piece()) {}
  absl::string_view key;
  std::string value;
};

// Once, early in main; `program` stands in each line of JSON. Before it everything from kInfo on is
// logged as text.
void SetUpLog(absl::string_view program, LogLevel least, LogFormat format);

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
