// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"

namespace orch::base {
namespace {

struct Sink {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format = LogFormat::kText;
  std::string program;
};

Sink& TheSink() {
  static Sink* const sink = [] {
    auto* s = new Sink;
    s->logger =
        std::make_shared<spdlog::logger>("orch", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    s->logger->set_pattern("%v");
    return s;
  }();
  return *sink;
}

spdlog::level::level_enum Level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
  }
  return spdlog::level::err;
}

const char* Name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

std::string Quoted(absl::string_view value) {
  bool plain = !value.empty();
  for (char c : value)
    plain = plain && (absl::ascii_isgraph(c) || (c & 0x80)) && c != '"' && c != '=';
  if (plain) return std::string(value);
  return absl::StrCat("\"", absl::Utf8SafeCEscape(value), "\"");
}

}  // namespace

void SetUpLog(absl::string_view program, LogLevel least, LogFormat format) {
  Sink& sink = TheSink();
  sink.program = std::string(program);
  sink.format = format;
  sink.logger->set_level(Level(least));
}

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  Sink& sink = TheSink();
  if (!sink.logger->should_log(Level(level))) return;
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  std::string line;
  if (sink.format == LogFormat::kJson) {
    nlohmann::ordered_json json = {{"time", time},
                                   {"level", Name(level)},
                                   {"program", sink.program},
                                   {"message", std::string(message)}};
    for (const LogField& field : fields) json[std::string(field.key)] = field.value;
    line = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  } else {
    line = absl::StrCat(time, " ", Name(level), " ", absl::Utf8SafeCEscape(message));
    for (const LogField& field : fields)
      absl::StrAppend(&line, " ", field.key, "=", Quoted(field.value));
  }
  sink.logger->log(Level(level), line);
}

bool LogLimiter::Admit(absl::string_view key, Now now, uint64_t* suppressed) {
  if (entries_.size() >= kKeysMax) {
    absl::erase_if(entries_, [now](const auto& e) { return e.second.until <= now.steady; });
    if (entries_.size() >= kKeysMax) key = "";
  }
  Entry& entry = entries_[key];
  if (entry.until > now.steady) {
    ++entry.suppressed;
    return false;
  }
  if (suppressed != nullptr) *suppressed = entry.suppressed;
  entry = Entry{now.steady + absl::Minutes(1), 0};
  return true;
}

}  // namespace orch::base
