// SPDX-License-Identifier: Apache-2.0
#include "base/log.h"

#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace orch::base {
namespace {

// What would be written to stderr.
std::string Said(LogFormat format, absl::string_view message,
                 std::initializer_list<LogField> fields) {
  SetUpLog("test", LogLevel::kInfo, format);
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, message, fields);
  return testing::internal::GetCapturedStderr();
}

// Line feed, escape sequence, NEL, U+2028, a mark of direction, no UTF-8, NUL.
const std::string kHostile("a\nb\x1b[2J\xc2\x85\xe2\x80\xa8\xe2\x80\xae\xff\xc0\x8a\"\\\0=", 23);

TEST(LogTest, JsonKeepsNumbersAndLeavesOutWhatIsEmpty) {
  const auto line =
      nlohmann::json::parse(Said(LogFormat::kJson, "job ended",
                                 {{"nodes", 500},
                                  {"big", std::numeric_limits<uint64_t>::max()},
                                  {"seconds", 1.5},
                                  {"ok", true},
                                  {"job_id", "01J"},
                                  {"trace_id", ""},
                                  {"text", "500"},
                                  {"nan", std::numeric_limits<double>::quiet_NaN()}}));
  EXPECT_EQ(line["level"], "info");
  EXPECT_EQ(line["program"], "test");
  EXPECT_EQ(line["message"], "job ended");
  EXPECT_EQ(line["nodes"], 500);
  EXPECT_EQ(line["big"].get<uint64_t>(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(line["seconds"], 1.5);
  EXPECT_EQ(line["ok"], true);
  EXPECT_EQ(line["text"], "500");
  EXPECT_EQ(line["nan"], "nan");
  EXPECT_FALSE(line.contains("trace_id"));
}

TEST(LogTest, OneEventIsOneLineOfAsciiInJson) {
  const std::string said = Said(LogFormat::kJson, kHostile, {{"why", kHostile}});
  EXPECT_EQ(said.find('\n'), said.size() - 1);
  for (const char c : said.substr(0, said.size() - 1)) {
    EXPECT_TRUE(absl::ascii_isprint(static_cast<unsigned char>(c)));
  }
  const auto line = nlohmann::json::parse(said);
  EXPECT_TRUE(absl::StartsWith(line["why"].get<std::string>(), "a\nb\x1b[2J\xc2\x85"));
}

TEST(LogTest, OneEventIsOneHarmlessLineInText) {
  const std::string said = Said(LogFormat::kText, kHostile, {{"why", kHostile}, {"n", 3}});
  EXPECT_EQ(said.find('\n'), said.size() - 1);
  for (const char c : said.substr(0, said.size() - 1)) {
    EXPECT_TRUE(absl::ascii_isprint(static_cast<unsigned char>(c))) << said;
  }
  EXPECT_TRUE(absl::EndsWith(said, " n=3\n")) << said;
}

TEST(LogTest, TextStaysReadable) {
  const std::string said =
      Said(LogFormat::kText, "Grüße", {{"who", "Zoë"}, {"what", "two words"}, {"equals", "a=b"}});
  EXPECT_TRUE(absl::EndsWith(said, " info Grüße who=Zoë what=\"two words\" equals=\"a=b\"\n"))
      << said;
}

// Last: the origin stays for the rest of the process.
TEST(LogTest, AnOriginsKeyStandsOnceInALine) {
  SetLogOrigin("node", "web1");
  const std::string said = Said(LogFormat::kJson, "ready", {{"node", "web1"}, {"role", "node"}});
  EXPECT_EQ(said.find("\"node\":"), said.rfind("\"node\":")) << said;
  EXPECT_EQ(nlohmann::json::parse(said)["role"], "node");
  const std::string text = Said(LogFormat::kText, "ready", {{"node", "web1"}});
  EXPECT_TRUE(absl::EndsWith(text, " ready node=web1\n")) << text;
}

}  // namespace
}  // namespace orch::base
