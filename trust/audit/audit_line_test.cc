// SPDX-License-Identifier: Apache-2.0
#include "trust/audit/audit_line.h"

#include <google/protobuf/util/message_differencer.h>
#include <google/protobuf/util/time_util.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/sha256.h"

namespace orch::trust {
namespace {

using google::protobuf::util::MessageDifferencer;
using orch::v1::AuditRecord;

AuditRecord Record(uint64_t sequence, const std::string& previous = FirstPreviousHash()) {
  AuditRecord out;
  out.set_sequence(sequence);
  out.set_kind("decision");
  out.set_caller("cert=alice");
  out.set_previous_hash(previous);
  return out;
}

// `count` lines that follow each other.
std::vector<std::string> Chain(int count) {
  std::vector<std::string> out;
  std::string hash = FirstPreviousHash();
  for (int i = 1; i <= count; ++i) {
    AuditRecord record = Record(i, hash);
    out.push_back(AuditLine(&record));
    hash = record.hash();
  }
  return out;
}

TEST(AuditLineTest, LooksAsDocumented) {
  AuditRecord record = Record(1);
  *record.mutable_time() =
      google::protobuf::util::TimeUtil::NanosecondsToTimestamp(1'800'000'000'123'000'000);
  record.set_certificate_serial("0A");
  record.set_peer("127.0.0.1:5");
  record.set_action("puppet.run");
  record.set_argument_digest("d");
  record.set_arguments("--noop");
  record.set_target("role=\"web\"");
  record.set_resolved(3);
  record.set_decision("allow");
  record.set_rule("policy.yaml:4");
  record.set_job("jobs/x");
  (*record.mutable_outcomes())["SUCCEEDED"] = 2;
  (*record.mutable_outcomes())["FAILED"] = 1;
  record.set_reason("why");
  record.set_on_behalf_of("alice");
  record.set_validate_only(true);
  const std::string line = AuditLine(&record);
  const std::string hashed = absl::StrCat(
      R"({"sequence":"1","time":"2027-01-15T08:00:00.123Z","kind":"decision","caller":"cert=alice",)",
      R"("certificate_serial":"0A","peer":"127.0.0.1:5","action":"puppet.run",)",
      R"("argument_digest":"d","arguments":"--noop","target":"role=\"web\"","resolved":3,"decision":"allow",)",
      R"("rule":"policy.yaml:4","job":"jobs/x","outcomes":{"FAILED":1,"SUCCEEDED":2},)",
      R"("reason":"why","on_behalf_of":"alice","validate_only":true,"previous_hash":")",
      FirstPreviousHash(), "\"}");
  EXPECT_EQ(record.hash(), base::HexSha256(hashed));
  EXPECT_EQ(line, absl::StrCat(hashed.substr(0, hashed.size() - 1), ",\"hash\":\"", record.hash(),
                               "\"}"));
}

TEST(AuditLineTest, ComesBackAsItWas) {
  AuditRecord record = Record(18'446'744'073'709'551'615u);
  record.set_target("a \"quoted\" \\ t\xc3\xa4rget \xf0\x9f\x90\xa7 </script>");
  (*record.mutable_outcomes())["A\nB"] = 4'294'967'295u;
  const auto back = ParseAuditLine(AuditLine(&record));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(MessageDifferencer::Equals(*back, record)) << back->DebugString();
}

TEST(AuditLineTest, IsOneLineWhateverIsInIt) {
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  AuditRecord record = Record(1);
  record.set_reason(all + "\r\n{\"sequence\":\"2\"}\xe2\x80\xa8\xe2\x80\xae\xc2\x85");
  const std::string line = AuditLine(&record);
  for (const char c : line) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
  EXPECT_EQ(line.find("\xe2\x80"), std::string::npos);
  EXPECT_NE(line.find("\\u000a"), std::string::npos);
  EXPECT_NE(line.find("\\u202e"), std::string::npos);
  EXPECT_NE(line.find("\\u0085"), std::string::npos);
  EXPECT_NE(line.find("\\u007f\\ufffd"), std::string::npos);
  EXPECT_TRUE(ParseAuditLine(line).ok()) << ParseAuditLine(line).status();
}

TEST(AuditLineTest, EscapesWhatIsNotUtf8) {
  const std::string bad[] = {
      "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
      "\xe2\x82", "\x80"};
  for (const std::string& each : bad) {
    AuditRecord record = Record(1);
    record.set_reason(each);
    const std::string line = AuditLine(&record);
    EXPECT_NE(line.find("\"reason\":\"\\ufffd"), std::string::npos);
    EXPECT_TRUE(ParseAuditLine(line).ok());
  }
}

TEST(ReadAuditLinkTest, FindsTheLinks) {
  const std::vector<std::string> lines = Chain(2);
  const auto one = ReadAuditLink(lines[0]);
  const auto two = ReadAuditLink(lines[1]);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_EQ(two->sequence, 2u);
  EXPECT_EQ(two->previous_hash, one->hash);
  EXPECT_EQ(two->hash, two->computed_hash);
}

TEST(ReadAuditLinkTest, RefusesOtherLines) {
  const std::string good = Chain(1)[0];
  for (const std::string& bad :
       {std::string(), std::string("hello"), std::string("{}"), good + " ", " " + good,
        good.substr(0, good.size() - 1), good.substr(1), std::string(kAuditLineMax + 1, 'x'),
        absl::StrReplaceAll(good, {{"\"sequence\":\"1\"", "\"sequence\":\"-1\""}}),
        absl::StrReplaceAll(good, {{"\"sequence\":\"1\"", "\"sequence\":1"}}),
        absl::StrReplaceAll(good, {{"previous_hash", "previous"}})}) {
    EXPECT_FALSE(ReadAuditLink(bad).ok()) << bad.substr(0, 100);
  }
}

TEST(AuditChainTest, SeesEachByteChanged) {
  const std::vector<std::string> lines = Chain(2);
  for (size_t i = 0; i < lines[1].size(); ++i) {
    std::string bad = lines[1];
    bad[i] ^= 1;
    AuditChain chain(true);
    ASSERT_TRUE(chain.Follow(lines[0]).ok());
    EXPECT_FALSE(chain.Follow(bad).ok()) << "byte " << i;
  }
}

TEST(AuditChainTest, MayBeginAnywhereOnlyIfToldSo) {
  const std::vector<std::string> lines = Chain(4);
  AuditChain from_first(true);
  EXPECT_EQ(from_first.Follow(lines[1]).message(), "record 1 is missing");
  AuditChain anywhere(false);
  EXPECT_TRUE(anywhere.Follow(lines[1]).ok());
  EXPECT_TRUE(anywhere.Follow(lines[2]).ok());
  EXPECT_EQ(anywhere.sequence(), 3u);
  EXPECT_EQ(anywhere.Follow(lines[1]).message(), "record 2 stands where record 4 should be");
}

TEST(AuditChainTest, TheFirstHasNoneBeforeIt) {
  AuditRecord record = Record(1, std::string(64, 'a'));
  AuditChain chain(true);
  EXPECT_FALSE(chain.Follow(AuditLine(&record)).ok());
  EXPECT_FALSE(chain.before_is_bad());
}

}  // namespace
}  // namespace orch::trust
