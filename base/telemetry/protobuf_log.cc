// SPDX-License-Identifier: Apache-2.0
#include "base/telemetry/protobuf_log.h"

#include <google/protobuf/stubs/logging.h>

#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/log.h"

namespace orch::base {
namespace {

// Libprotobuf calls from whatever thread parses, through a plain function: what it needs is here.
struct Limited {
  std::mutex mutex;
  LogLimiter limiter;  // under mutex
};

Limited& TheLimited() {
  static Limited* const limited = new Limited;
  return *limited;
}

void OnProtobufLog(google::protobuf::LogLevel level, const char* file, int line,
                   const std::string& message) {
  uint64_t suppressed = 0;
  // After a fatal one the process ends: nothing may be held back.
  if (level != google::protobuf::LOGLEVEL_FATAL) {
    Limited& limited = TheLimited();
    const std::lock_guard<std::mutex> lock(limited.mutex);
    const std::string place = absl::StrCat(file, ":", line);
    if (!limited.limiter.Admit(place, SystemClock().Read(), &suppressed)) return;
  }
  const LogLevel ours = level == google::protobuf::LOGLEVEL_FATAL  ? LogLevel::kError
                        : level == google::protobuf::LOGLEVEL_INFO ? LogLevel::kDebug
                                                                   : LogLevel::kWarning;
  Log(ours, "protobuf", {{"why", message}, {"not_logged", suppressed}});
}

}  // namespace

void SetUpProtobufLog() { google::protobuf::SetLogHandler(OnProtobufLog); }

}  // namespace orch::base
