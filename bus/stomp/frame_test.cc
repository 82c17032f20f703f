// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/frame.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "absl/strings/str_cat.h"

namespace orch::bus {
namespace {

using ::testing::HasSubstr;

constexpr char kNul[] = {'\0'};

std::string Wire(absl::string_view text) { return absl::StrCat(text, absl::string_view(kNul, 1)); }

std::string Describe(const std::vector<Frame>& frames) {
  std::string out;
  for (const Frame& frame : frames) {
    absl::StrAppend(&out, frame.command, "{");
    for (const Header& header : frame.headers) {
      absl::StrAppend(&out, "[", header.name, "]=[", header.value, "]");
    }
    absl::StrAppend(&out, "|", frame.body, "}");
  }
  return out;
}

std::string Decode(absl::string_view bytes, StompVersion version = StompVersion::k12) {
  Decoder decoder;
  decoder.set_version(version);
  std::vector<Frame> frames;
  const absl::Status status = decoder.Feed(bytes, &frames);
  return status.ok() ? Describe(frames) : std::string(status.message());
}

TEST(FrameTest, EncodesWithContentLengthAndNul) {
  Frame frame{"SEND", {{"destination", "/queue/a"}}, "hello"};
  EXPECT_EQ(Encode(frame), Wire("SEND\ndestination:/queue/a\ncontent-length:5\n\nhello"));
}

TEST(FrameTest, KeepsAContentLengthThatIsThere) {
  Frame frame{"SEND", {{"content-length", "2"}}, "ab"};
  EXPECT_EQ(Encode(frame), Wire("SEND\ncontent-length:2\n\nab"));
}

TEST(FrameTest, EscapesByVersion) {
  const Frame frame{"SEND", {{"a:b", "c\nd\\e\rf"}}, ""};
  EXPECT_EQ(Encode(frame, StompVersion::k12), Wire("SEND\na\\cb:c\\nd\\\\e\\rf\n\n"));
  EXPECT_EQ(Encode(frame, StompVersion::k11), Wire("SEND\na\\cb:c\\nd\\\\e\rf\n\n"));
  EXPECT_EQ(Encode(frame, StompVersion::k10), Wire("SEND\na:b:c d\\e f\n\n"));
}

TEST(FrameTest, ConnectIsNeverEscapedAndCanNotGainLines) {
  const Frame frame{"CONNECT", {{"passcode", "a:b\\c\nadmin:true"}}, ""};
  EXPECT_EQ(Encode(frame), Wire("CONNECT\npasscode:a:b\\c admin:true\n\n"));
}

TEST(FrameTest, FindsTheFirstOfRepeatedHeaders) {
  Frame frame;
  frame.Add("foo", "1");
  frame.Add("foo", "2");
  ASSERT_NE(frame.Find("foo"), nullptr);
  EXPECT_EQ(*frame.Find("foo"), "1");
  EXPECT_EQ(frame.Find("bar"), nullptr);
}

TEST(DecoderTest, ReadsWhatTheSpecificationShows) {
  EXPECT_EQ(Decode(Wire("SEND\ndestination:/queue/a\ncontent-type:text/plain\n\nhello queue a")),
            "SEND{[destination]=[/queue/a][content-type]=[text/plain]|hello queue a}");
}

TEST(DecoderTest, AcceptsCarriageReturnsIn12Only) {
  EXPECT_EQ(Decode(Wire("\r\nSEND\r\nfoo:bar\r\n\r\nx")), "SEND{[foo]=[bar]|x}");
  EXPECT_THAT(Decode(Wire("SEND\r\n\r\n"), StompVersion::k11), HasSubstr("not a STOMP command"));
  EXPECT_EQ(Decode(Wire("SEND\nfoo:bar\r\n\n"), StompVersion::k11), "SEND{[foo]=[bar\r]|}");
}

TEST(DecoderTest, UnescapesByVersion) {
  const std::string wire = Wire("SEND\na\\cb:c\\nd\\\\e\n\n");
  EXPECT_EQ(Decode(wire), "SEND{[a:b]=[c\nd\\e]|}");
  EXPECT_EQ(Decode(wire, StompVersion::k11), "SEND{[a:b]=[c\nd\\e]|}");
  EXPECT_EQ(Decode(wire, StompVersion::k10), "SEND{[a\\cb]=[c\\nd\\\\e]|}");
  EXPECT_EQ(Decode(Wire("SEND\na:\\r\n\n")), "SEND{[a]=[\r]|}");
  EXPECT_EQ(Decode(Wire("SEND\na:\\r\n\n"), StompVersion::k11), "undefined escape \\r");
  EXPECT_EQ(Decode(Wire("CONNECT\npasscode:a\\tb\n\n")), "CONNECT{[passcode]=[a\\tb]|}");
}

TEST(DecoderTest, TrimsLeadingBlanksIn10Only) {
  EXPECT_EQ(Decode(Wire("SEND\nfoo:  bar \n\n"), StompVersion::k10), "SEND{[foo]=[bar ]|}");
  EXPECT_EQ(Decode(Wire("SEND\nfoo: bar\n\n")), "SEND{[foo]=[ bar]|}");
}

TEST(DecoderTest, ContentLengthCoversNuls) {
  const std::string body("a\0b\n\n\0", 6);
  EXPECT_EQ(Decode(Wire(absl::StrCat("SEND\ncontent-length:6\n\n", body))),
            absl::StrCat("SEND{[content-length]=[6]|", body, "}"));
}

TEST(DecoderTest, CountsHeartBeatsBetweenFrames) {
  Decoder decoder;
  std::vector<Frame> frames;
  EXPECT_TRUE(decoder.Feed(absl::StrCat("\n\n", Wire("SEND\n\n"), "\n\r\n"), &frames).ok());
  EXPECT_EQ(decoder.heart_beats(), 4u);
  EXPECT_EQ(frames.size(), 1u);
  EXPECT_EQ(decoder.pending_bytes(), 0u);
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* error;
};

TEST(DecoderTest, SaysWhatIsMalformed) {
  const Malformed kCases[] = {
      {"no colon", "SEND\nfoo\n", "header line without ':': `foo`"},
      {"no name", "SEND\n:foo\n", "header line without a name: `:foo`"},
      {"undefined escape", "SEND\nfoo:a\\tb\n", "undefined escape \\t"},
      {"escape at the end", "SEND\nfoo:a\\\n", "header line ends within an escape"},
      {"bare CR", "SEND\nfoo:a\rb\n", "carriage return inside header line"},
      {"CR between", "\rSEND\n", "carriage return without line feed between frames"},
      {"NUL in headers", Wire("SEND\nfoo:bar"), "NUL inside the headers"},
      {"NUL alone", Wire(""), "not a STOMP command: byte 0x00"},
      {"lower case", "send\n", "not a STOMP command: byte 0x73"},
      {"HTTP", "GET / HTTP/1.1\r\n", "not a STOMP command: byte 0x20"},
      {"TLS", "\x16\x03\x01\x02", "not a STOMP command: byte 0x16"},
      {"length of letters", "SEND\ncontent-length:abc\n\n",
       "content-length is not a number: `abc`"},
      {"negative length", "SEND\ncontent-length:-1\n\n", "content-length is not a number: `-1`"},
      {"length with blank", "SEND\ncontent-length: 1\n\n", "content-length is not a number: ` 1`"},
      {"no length", "SEND\ncontent-length:\n\n", "content-length is not a number: ``"},
      {"length over 64 bits", "SEND\ncontent-length:99999999999999999999\n\n", "is not a number"},
      {"length over the limit", "SEND\ncontent-length:1048577\n\n",
       "body of 1048577 bytes is over the limit of 1048576 (body_bytes)"},
      {"length too small", "SEND\ncontent-length:1\n\nab",
       "body not terminated by NUL: after the 1 bytes of content-length comes byte 0x62"},
      {"body where none may be", Wire("SUBSCRIBE\n\nx"), "a SUBSCRIBE frame has no body"},
      {"announced body where none may be", "ACK\ncontent-length:1\n\n", "a ACK frame has no body"},
  };
  for (const Malformed& test : kCases) {
    EXPECT_THAT(Decode(test.bytes), HasSubstr(test.error)) << test.name;
    // The same error however the input is cut.
    Decoder decoder;
    std::vector<Frame> frames;
    absl::Status status;
    for (const char c : test.bytes) status = decoder.Feed(absl::string_view(&c, 1), &frames);
    EXPECT_FALSE(status.ok()) << test.name;
  }
}

TEST(DecoderTest, NamesTheLimitThatIsExceeded) {
  EXPECT_THAT(Decode(std::string(100, 'A')), HasSubstr("(command_bytes)"));
  EXPECT_THAT(Decode(absl::StrCat("SEND\nfoo:", std::string(9000, 'a'))),
              HasSubstr("(header_bytes)"));
  std::string many = "SEND\n";
  for (int i = 0; i < 65; ++i) many += "a:b\n";
  EXPECT_THAT(Decode(many), HasSubstr("more than 64 header lines (headers)"));
  EXPECT_THAT(Decode(absl::StrCat("SEND\n\n", std::string((1 << 20) + 1, 'a'))),
              HasSubstr("body without content-length is over the limit"));
}

TEST(DecoderTest, HoldsNoMoreThanItsLimitsOfAnEndlessHeader) {
  Decoder decoder;
  std::vector<Frame> frames;
  ASSERT_TRUE(decoder.Feed("SEND\n", &frames).ok());
  const std::string part(1000, 'a');
  absl::Status status;
  for (int i = 0; i < 10 && status.ok(); ++i) {
    status = decoder.Feed(part, &frames);
    EXPECT_LE(decoder.pending_bytes(), FrameLimits().header_bytes);
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
}

TEST(DecoderTest, AnAnnouncedBodyCostsNothingUntilItComes) {
  Decoder decoder;
  std::vector<Frame> frames;
  ASSERT_TRUE(decoder.Feed("SEND\ncontent-length:1000000\n\n", &frames).ok());
  EXPECT_LT(decoder.pending_bytes(), 100u);
}

TEST(DecoderTest, ABodyThatComesSlowlyTakesNoMoreThanItsSize) {
  Decoder decoder;
  std::vector<Frame> frames;
  ASSERT_TRUE(decoder.Feed("SEND\ncontent-length:600000\n\n", &frames).ok());
  const std::string part(1000, 'x');
  for (int i = 0; i < 599; ++i) ASSERT_TRUE(decoder.Feed(part, &frames).ok());
  EXPECT_GE(decoder.pending_bytes(), 599'000u);
  EXPECT_LE(decoder.pending_bytes(), 601'000u);
  ASSERT_TRUE(decoder.Feed(Wire(part), &frames).ok());
  EXPECT_EQ(decoder.pending_bytes(), 0u);
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].body, std::string(600'000, 'x'));
}

TEST(DecoderTest, StaysInError) {
  Decoder decoder;
  std::vector<Frame> frames;
  const absl::Status first = decoder.Feed("bad\n", &frames);
  EXPECT_FALSE(first.ok());
  EXPECT_EQ(decoder.Feed(Wire("SEND\n\n"), &frames), first);
  EXPECT_TRUE(frames.empty());
}

TEST(DecoderTest, GivesTheFramesBeforeAnError) {
  Decoder decoder;
  std::vector<Frame> frames;
  EXPECT_FALSE(decoder.Feed(absl::StrCat(Wire("SEND\na:1\n\n"), "bad\n"), &frames).ok());
  EXPECT_EQ(Describe(frames), "SEND{[a]=[1]|}");
}

TEST(DecoderTest, IsTheSameCutAtEachByte) {
  // A counted body with a NUL in it, then an open one.
  const std::string all = absl::StrCat(Wire("CONNECT\r\nhost:a\r\n\r\n"), "\n",
                                       Wire(absl::StrCat("SEND\nfoo:b\\nar\ncontent-length:3\n\na",
                                                         absl::string_view(kNul, 1), "b")),
                                       Wire("SEND\n\nopen"));
  const std::string whole = Decode(all);
  EXPECT_THAT(whole, HasSubstr("SEND{|open}"));
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    Decoder decoder;
    std::vector<Frame> frames;
    ASSERT_TRUE(decoder.Feed(all.substr(0, cut), &frames).ok()) << cut;
    ASSERT_TRUE(decoder.Feed(all.substr(cut), &frames).ok()) << cut;
    EXPECT_EQ(Describe(frames), whole) << cut;
  }
  Decoder decoder;
  std::vector<Frame> frames;
  for (const char c : all) ASSERT_TRUE(decoder.Feed(absl::string_view(&c, 1), &frames).ok());
  EXPECT_EQ(Describe(frames), whole);
}

std::string RandomText(std::mt19937* random, absl::string_view alphabet, size_t least,
                       size_t most) {
  std::string out(least + (*random)() % (most - least + 1), ' ');
  for (char& c : out) c = alphabet[(*random)() % alphabet.size()];
  return out;
}

TEST(DecoderTest, ReadsWhatEncodeWrote) {
  std::mt19937 random(1);
  const absl::string_view odd("ab:\\\n\r \t\0xyz", 13);
  for (int i = 0; i < 2000; ++i) {
    const StompVersion version = i % 2 == 0 ? StompVersion::k12 : StompVersion::k11;
    Frame frame{"SEND", {}, RandomText(&random, odd, 0, 300)};
    for (size_t n = random() % 6; n > 0; --n) {
      frame.Add(RandomText(&random, "ab:\\\n", 1, 20), RandomText(&random, "ab:\\\n ", 0, 40));
    }
    const std::string wire = Encode(frame, version);
    Decoder decoder;
    decoder.set_version(version);
    std::vector<Frame> frames;
    const size_t cut = random() % wire.size();
    ASSERT_TRUE(decoder.Feed(wire.substr(0, cut), &frames).ok());
    ASSERT_TRUE(decoder.Feed(wire.substr(cut), &frames).ok());
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].body, frame.body);
    for (size_t h = 0; h < frame.headers.size(); ++h) {
      EXPECT_EQ(frames[0].headers[h].name, frame.headers[h].name);
      EXPECT_EQ(frames[0].headers[h].value, frame.headers[h].value);
    }
  }
}

TEST(DecoderTest, SurvivesRandomBytes) {
  std::mt19937 random(2);
  const absl::string_view likely("SENDMESSAGE\n\n:::\\ncr\r\0content-length:0123456789", 46);
  for (int i = 0; i < 20000; ++i) {
    Decoder decoder({.command_bytes = 16, .headers = 4, .header_bytes = 100, .body_bytes = 50});
    std::vector<Frame> frames;
    std::string bytes = i % 4 == 0 ? "SEND\n" : "";
    bytes += RandomText(&random, likely, 0, 200);
    if (i % 3 == 0) bytes.push_back(static_cast<char>(random()));
    const absl::Status status = decoder.Feed(bytes, &frames);
    EXPECT_LE(decoder.pending_bytes(), 16u + 100u + 2 * 50u);
    for (const Frame& frame : frames) {
      EXPECT_LE(frame.body.size(), 50u);
      EXPECT_LE(frame.headers.size(), 4u);
    }
    if (!status.ok()) {
      EXPECT_FALSE(status.message().empty());
    }
  }
}

TEST(DecoderTest, HeadersAreUtf8WhereThatIsAskedFor) {
  FrameLimits strict;
  strict.utf8_headers = true;
  for (const char* line : {"k:\xff\xfe", "\xc3:v", "k:\xe3\x81"}) {
    std::vector<Frame> frames;
    const std::string wire = Wire(absl::StrCat("SEND\n", line, "\n\nx"));
    EXPECT_THAT(std::string(Decoder(strict).Feed(wire, &frames).message()),
                HasSubstr("header line is not UTF-8"));
    EXPECT_TRUE(frames.empty());
    EXPECT_TRUE(Decoder().Feed(wire, &frames).ok()) << "what a broker forwards is read";
  }
  std::vector<Frame> frames;
  EXPECT_TRUE(Decoder(strict).Feed(Wire("SEND\nk:größe 😀\n\n\xff"), &frames).ok());
  EXPECT_EQ(frames.size(), 1u);
}

}  // namespace
}  // namespace orch::bus
