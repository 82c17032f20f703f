// SPDX-License-Identifier: Apache-2.0
// What a hostile client may write before gRPC reads it: the guard, with the bytes of both
// directions.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "controller/edge/http2_guard.h"
#include "test/fuzz/driver.h"

namespace orch::controller {
namespace {

constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

uint64_t Mix(uint64_t hash, uint64_t value) {
  return (hash ^ value) * 0x9e3779b97f4a7c15u + (hash >> 29);
}

struct End {
  std::string why;  // empty: it goes on
  size_t streams = 0;
  bool opened = false;
  std::string goodbye;
};

// The client writes `input`, cut by `step`; gRPC has written the same, up to `of_server` bytes.
End Run(absl::string_view input, size_t step, size_t of_server) {
  const absl::Duration now = absl::Seconds(100);
  Http2Share share;
  Http2Guard guard(now);
  End end;
  const auto feed = [&](absl::string_view bytes, bool of_client) {
    for (size_t at = 0; at < bytes.size() && end.why.empty(); at += step) {
      const absl::string_view piece = bytes.substr(at, step);
      const std::optional<Http2Fault> fault = of_client ? guard.OnClientBytes(piece, now, &share)
                                                        : guard.OnServerBytes(piece, now, &share);
      if (fault.has_value()) end.why = fault->why;
      ORCH_CHECK(guard.open_streams() <= Http2Guard::kOpenStreamsMax);
      ORCH_CHECK(share.open_streams() == guard.open_streams());
      // A deadline is never far away, and never without an end.
      const absl::Duration next = guard.NextDeadline();
      ORCH_CHECK(next == absl::InfiniteDuration() || guard.OnTime(next).has_value());
      ORCH_CHECK(!guard.OnTime(now).has_value());
    }
  };
  feed(input, true);
  feed(input.substr(0, of_server), false);
  end.streams = guard.open_streams();
  end.opened = guard.opened();
  end.goodbye = guard.GoAway({Http2Code::kEnhanceYourCalm, "why"});
  ORCH_CHECK(end.goodbye.empty() || end.goodbye.size() == Http2Frames::kHeaderBytes + 11);
  guard.Leave(now, &share);
  ORCH_CHECK(share.open_streams() == 0);
  return end;
}

uint64_t RunGuard(absl::string_view bytes) {
  uint64_t hash = 0;
  for (const bool with_preface : {false, true}) {
    const std::string input = absl::StrCat(with_preface ? kPreface : "", bytes);
    const size_t of_server = input.size() % 97;
    const End whole = Run(input, std::max<size_t>(input.size(), 1), of_server);
    // However it is cut, the judgement is the same.
    const End cut = Run(input, 1 + input.size() % 7, of_server);
    ORCH_CHECK(whole.why == cut.why);
    if (whole.why.empty()) {
      ORCH_CHECK(whole.streams == cut.streams);
      ORCH_CHECK(whole.opened == cut.opened);
      ORCH_CHECK(whole.goodbye == cut.goodbye);
    }
    hash = Mix(hash, std::hash<std::string>()(whole.why));
    hash = Mix(hash, std::min<size_t>(whole.streams, 4));
    hash = Mix(hash, whole.opened);
  }
  return hash;
}

std::string Frame(char type, char flags, char stream, const std::string& payload) {
  std::string out = {0, 0, static_cast<char>(payload.size()), type, flags, 0, 0, 0, stream};
  return out + payload;
}

testing::FuzzTarget Target() {
  testing::FuzzTarget target;
  target.run = RunGuard;
  const std::string settings = Frame(4, 0, 0, "");
  target.corpus = {
      settings + Frame(4, 1, 0, "") + Frame(1, 5, 1, "headers") + Frame(3, 0, 1, "\1\1\1\1"),
      settings + Frame(1, 0, 1, "headers") + Frame(9, 0, 1, "more") + Frame(9, 4, 1, ""),
      settings + Frame(1, 4, 1, "h") + Frame(0, 0, 1, "") + Frame(0, 8, 1, "data") +
          Frame(0, 1, 1, "data"),
      settings + Frame(8, 0, 0, std::string("\0\0\0\1", 4)) + Frame(6, 0, 0, "12345678") +
          Frame(2, 0, 3, "12345") + Frame(7, 0, 0, "12345678") + Frame(11, 0, 0, "x"),
      Frame(4, 0, 0, std::string("\0\4\0\0\xff\xff\0\5\0\0\x40\0", 12)),
  };
  for (char type = 0; type <= 10; ++type) {
    target.words.push_back(Frame(type, 0, 1, ""));
    target.words.push_back(Frame(type, 1, 1, "1234"));
    target.words.push_back(Frame(type, 4, 3, "12345678"));
  }
  std::string flood;
  for (int i = 0; i < 200; ++i) flood += Frame(6, 1, 0, "12345678") + Frame(0, 0, 1, "");
  target.words.push_back(flood);
  target.words.push_back(settings);
  target.words.push_back(kPreface);
  return target;
}

}  // namespace
}  // namespace orch::controller

int main(int argc, char** argv) {
  return orch::testing::FuzzMain(argc, argv, orch::controller::Target());
}
