// SPDX-License-Identifier: Apache-2.0
// What a hostile broker may say: the decoder, and the client's session on top of it.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "bus/client/session.h"
#include "bus/stomp/frame.h"
#include "test/fuzz/driver.h"

namespace orch::bus {
namespace {

uint64_t Mix(uint64_t hash, uint64_t value) {
  return (hash ^ value) * 0x9e3779b97f4a7c15u + (hash >> 29);
}

bool SameFrame(const Frame& a, const Frame& b) {
  return a.command == b.command && a.body == b.body && a.headers.size() == b.headers.size() &&
         std::equal(a.headers.begin(), a.headers.end(), b.headers.begin(),
                    [](const Header& x, const Header& y) {
                      return x.name == y.name && x.value == y.value;
                    });
}

// Whole, and cut by `step`: the same frames and the same end. Never holds more than its limits.
uint64_t RunDecoder(absl::string_view input, StompVersion version) {
  const FrameLimits limits;
  Decoder whole(limits), cut(limits);
  whole.set_version(version);
  cut.set_version(version);
  std::vector<Frame> frames, again;
  const absl::Status status = whole.Feed(input, &frames);
  absl::Status status_cut;
  const size_t step = 1 + input.size() % 7;
  for (size_t at = 0; at < input.size() && status_cut.ok(); at += step) {
    status_cut = cut.Feed(input.substr(at, step), &again);
    // A body in one piece, twice while it grows, and the header lines.
    ORCH_CHECK(cut.pending_bytes() <= 2 * limits.body_bytes + 2 * limits.header_bytes);
  }
  // Which of two mistakes is seen first may differ.
  ORCH_CHECK(status.ok() == status_cut.ok());
  ORCH_CHECK(frames.size() == again.size());
  ORCH_CHECK(whole.heart_beats() == cut.heart_beats());
  uint64_t hash = static_cast<uint64_t>(status.code());
  for (size_t i = 0; i < frames.size(); ++i) {
    ORCH_CHECK(SameFrame(frames[i], again[i]));
    ORCH_CHECK(frames[i].headers.size() <= limits.headers);
    ORCH_CHECK(frames[i].body.size() <= limits.body_bytes);
    if (i < 4) hash = Mix(hash, std::hash<std::string>()(frames[i].command));
    if (i < 4) hash = Mix(hash, std::min<size_t>(frames[i].headers.size(), 8));
    if (version != StompVersion::k12) continue;
    // What was read can be written, and reads the same. The body's length is the writer's business.
    Frame copy = frames[i];
    copy.headers.erase(
        std::remove_if(copy.headers.begin(), copy.headers.end(),
                       [](const Header& header) { return header.name == "content-length"; }),
        copy.headers.end());
    const bool plain = copy.command == "CONNECT" || copy.command == "CONNECTED";
    if (plain || copy.headers.size() == limits.headers) continue;
    Decoder reader({.command_bytes = 32, .headers = 65, .header_bytes = 64 << 10});
    std::vector<Frame> read;
    ORCH_CHECK(reader.Feed(Encode(copy), &read).ok());
    ORCH_CHECK(read.size() == 1);
    if (!copy.body.empty()) read[0].headers.pop_back();
    ORCH_CHECK(SameFrame(copy, read[0]));
  }
  // The reason, without what it quotes.
  const std::string why(status.message().substr(0, 18));
  return Mix(hash, std::hash<std::string>()(why));
}

// A session that is told this, in pieces, while time passes: never more events than bytes, nothing
// after its end, its next deadline never in the past for long, and a bounded queue.
uint64_t RunSession(absl::string_view input, bool connected) {
  base::FakeClock clock;
  Session::Options options;
  options.virtual_host = "broker1";
  options.send_queue_bytes = 64 << 10;
  Session session(options, clock.Read());
  session.Subscribe(1, "/topic/a");
  session.Subscribe(2, "/queue/b");
  const auto write = [&] {
    for (int i = 0; i < 100; ++i) {
      if (session.TakeBatch(clock.Read()).empty()) return;
      session.OnWritten(clock.Read());
    }
    ORCH_CHECK(false);  // it writes without end
  };
  write();
  if (connected) {
    session.OnBytes(std::string("CONNECTED\nversion:1.2\nheart-beat:1000,1000\n\n\0", 45),
                    clock.Read());
    write();
    (void)session.Send("/a", "x", absl::InfiniteFuture(), true, clock.Read());
    write();
  }
  bool ended = false;
  uint64_t hash = connected;
  size_t events_seen = 0;
  const auto look = [&](const Session::Event& event) {
    ORCH_CHECK(!ended);
    ended = event.kind == Session::Event::Kind::kEnded;
    if (event.kind == Session::Event::Kind::kMessage) ORCH_CHECK(event.id == 1 || event.id == 2);
    if (++events_seen < 6)
      hash = Mix(hash, static_cast<uint64_t>(event.kind) * 16 + static_cast<uint64_t>(event.fault));
    for (const char c : event.status.message())
      ORCH_CHECK(c == '\n' || (c >= 0x20 && c != 0x7f) || (c & 0x80));
  };
  const size_t step = 1 + input.size() % 61;
  for (size_t at = 0; at < input.size(); at += step) {
    for (const Session::Event& event : session.OnBytes(input.substr(at, step), clock.Read())) {
      look(event);
    }
    write();
    clock.Advance(absl::Milliseconds(37));
    if (const auto event = session.OnTime(clock.Read()); event.has_value()) look(*event);
    write();
  }
  ORCH_CHECK(events_seen <= input.size() + 1);
  // Left alone it comes to its end, or has nothing to wait for.
  for (int i = 0; i < 1000 && session.next_deadline() != absl::InfiniteDuration(); ++i) {
    clock.Advance(session.next_deadline() - clock.Read().steady);
    if (const auto event = session.OnTime(clock.Read()); event.has_value()) look(*event);
    write();
    ORCH_CHECK(i < 999 || ended);
  }
  const Session::Counts& counts = session.counts();
  hash = Mix(hash, std::min<uint64_t>(counts.ignored, 3));
  return Mix(hash, std::min<uint64_t>(counts.stray_receipts, 3));
}

uint64_t Run(absl::string_view input) {
  uint64_t hash = RunDecoder(input, StompVersion::k12);
  hash = Mix(hash, RunDecoder(input, StompVersion::k11));
  hash = Mix(hash, RunDecoder(input, StompVersion::k10));
  hash = Mix(hash, RunSession(input, false));
  return Mix(hash, RunSession(input, true));
}

testing::FuzzTarget Target() {
  testing::FuzzTarget target;
  target.run = Run;
  target.corpus = {
      Encode({"CONNECTED", {{"version", "1.2"}, {"heart-beat", "30000,15000"}}, ""}),
      Encode({"CONNECTED", {{"version", "1.1"}, {"server", "x/1"}}, ""}),
      Encode({"MESSAGE",
              {{"subscription", "1"}, {"message-id", "m:1"}, {"destination", "/topic/a"}},
              std::string("a\0b", 3)}),
      std::string("MESSAGE\nsubscription:2\n\nbody without length\0\n\n", 46),
      Encode({"RECEIPT", {{"receipt-id", "1"}}, ""}) +
          Encode({"RECEIPT", {{"receipt-id", "2"}}, ""}),
      Encode({"RECEIPT", {{"receipt-id", "3"}}, ""}),
      Encode({"ERROR", {{"message", "no\\such: thing"}, {"receipt-id", "1"}}, "why"}),
      "\n\r\n\n",
  };
  target.words = {"\n",
                  "\r\n",
                  std::string(1, '\0'),
                  ":",
                  "\\n",
                  "\\c",
                  "\\r",
                  "\\t",
                  "\\\\",
                  "content-length:",
                  "MESSAGE",
                  "RECEIPT",
                  "ERROR",
                  "CONNECTED",
                  "subscription:1\n",
                  "receipt-id:1\n",
                  "version:1.0\n",
                  "version:1.3\n",
                  "heart-beat:0,0\n",
                  "heart-beat:4294967295,1\n",
                  "content-length:0\n",
                  "content-length:1048576\n",
                  "content-length:18446744073709551616\n",
                  "reply-to:/queue/evil\n",
                  "ack:1\n",
                  std::string(9000, 'x'),
                  std::string(300, '\n'),
                  "\xff\xfe"};
  return target;
}

}  // namespace
}  // namespace orch::bus

int main(int argc, char** argv) { return orch::testing::FuzzMain(argc, argv, orch::bus::Target()); }
