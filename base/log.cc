// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "base/text.h"

namespace orch::base {
namespace {

struct Sink {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format = LogFormat::kText;
  std::string program;
  std::string origin_key;  // `node`
  std::string origin;      // `,"node":"web1"`
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

// A JSON string in ASCII: nothing in it means anything to a terminal or a splitter of lines.
std::string JsonString(absl::string_view text) {
  return nlohmann::json(std::string(text))
      .dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

// The character that begins `text` if it is valid UTF-8 and harmless on a terminal, else nothing.
// Left out, besides control characters: line and paragraph separators, and marks of direction,
// which make a line look like another.
absl::string_view HarmlessCharacter(absl::string_view text) {
  char32_t code = 0;
  const size_t size = Utf8Length(text, 0, &code);
  const bool control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  const bool mark = (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
                    code == 0x200e || code == 0x200f || code == 0x061c || code == 0xfeff;
  if (size == 0 || control || mark) return "";
  return text.substr(0, size);
}

std::string Escaped(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const absl::string_view harmless = HarmlessCharacter(text);
    const size_t size = harmless.empty() ? 1 : harmless.size();
    const bool special = harmless.empty() || text[0] == '"' || text[0] == '\\';
    absl::StrAppend(&out, special ? absl::CHexEscape(text.substr(0, 1)) : std::string(harmless));
    text.remove_prefix(size);
  }
  return out;
}

std::string Quoted(absl::string_view value) {
  std::string escaped = Escaped(value);
  const bool plain = escaped == value && escaped.find_first_of(" =") == std::string::npos;
  return plain ? escaped : absl::StrCat("\"", escaped, "\"");
}

}  // namespace

void SetUpLog(absl::string_view program, LogLevel least, LogFormat format) {
  Sink& sink = TheSink();
  sink.program = std::string(program);
  sink.format = format;
  sink.logger->set_level(Level(least));
}

void SetLogOrigin(absl::string_view key, absl::string_view identity) {
  TheSink().origin_key = std::string(key);
  TheSink().origin = absl::StrCat(",", JsonString(key), ":", JsonString(identity));
}

void Log(LogLevel level, absl::string_view message, std::initializer_list<LogField> fields) {
  Sink& sink = TheSink();
  if (!sink.logger->should_log(Level(level))) return;
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  std::string line;
  if (sink.format == LogFormat::kJson) {
    line = absl::StrCat("{\"time\":\"", time, "\",\"level\":\"", Name(level),
                        "\",\"program\":", JsonString(sink.program), sink.origin,
                        ",\"message\":", JsonString(message));
    for (const LogField& field : fields) {
      // One key, one value; the origin has this one already.
      if (field.value.empty() || field.key == sink.origin_key) continue;
      absl::StrAppend(&line, ",\"", field.key,
                      "\":", field.bare ? field.value : JsonString(field.value));
    }
    line += "}";
  } else {
    line = absl::StrCat(time, " ", Name(level), " ", Escaped(message));
    for (const LogField& field : fields) {
      if (!field.value.empty()) absl::StrAppend(&line, " ", field.key, "=", Quoted(field.value));
    }
  }
  sink.logger->log(Level(level), spdlog::string_view_t(line));
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
