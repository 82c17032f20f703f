// SPDX-License-Identifier: Apache-2.0
#include "base/config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "bus/stomp/config.pb.h"
#include "trust/config.pb.h"

namespace orch::base {
namespace {

absl::Status Read(const std::string& text, google::protobuf::Message* out) {
  return ParseYaml(text, "f.yaml", out);
}

std::string ErrorOf(const std::string& text) {
  bus::BusConfig config;
  return std::string(Read(text, &config).message());
}

TEST(ParseYamlTest, FillsEveryKindOfField) {
  bus::BusConfig config;
  ASSERT_TRUE(
      Read("brokers: [a:1, b:2]\nflavour: rabbitmq\ntls: false\nheart_beat: 1m30s\nlogin: '007'\n",
           &config)
          .ok());
  EXPECT_EQ(config.brokers_size(), 2);
  EXPECT_EQ(config.flavour(), bus::FLAVOUR_RABBITMQ);
  EXPECT_TRUE(config.has_tls());
  EXPECT_FALSE(config.tls());
  EXPECT_EQ(config.heart_beat().seconds(), 90);
  EXPECT_EQ(config.login(), "007");
  trust::TrustConfig trust;
  ASSERT_TRUE(Read("roles:\n  extension: false\n  user_ca: [x]\n", &trust).ok());
  EXPECT_FALSE(trust.roles().extension());
  EXPECT_EQ(trust.roles().user_ca(0), "x");
  bus::BrokerConfig broker;
  ASSERT_TRUE(Read("limits:\n  connections: 5\n  queue_bytes: 10000000000\n", &broker).ok());
  EXPECT_EQ(broker.limits().queue_bytes(), 10'000'000'000u);
}

TEST(ParseYamlTest, AnEmptyFileIsTheEmptyMessage) {
  bus::BusConfig config;
  EXPECT_TRUE(Read("", &config).ok());
  EXPECT_TRUE(Read("# nothing\n", &config).ok());
}

TEST(ParseYamlTest, ErrorsNameFileLineAndField) {
  EXPECT_EQ(ErrorOf("login: x\nbrokerz: []\n"),
            "f.yaml:2: brokerz: no such field, did you mean `brokers`?");
  EXPECT_EQ(ErrorOf("login: a\nlogin: b\n"), "f.yaml:2: login: is given twice");
  EXPECT_EQ(ErrorOf("tls: yes\n"), "f.yaml:1: tls: expected true or false");
  EXPECT_EQ(ErrorOf("heart_beat: 30\n"),
            "f.yaml:1: heart_beat: expected a duration such as 90s, 5m or 1h30m");
  EXPECT_EQ(ErrorOf("flavour: kafka\n"),
            "f.yaml:1: flavour: expected one of embedded, activemq, rabbitmq");
  EXPECT_EQ(ErrorOf("brokers: a:1\n"), "f.yaml:1: brokers: expected a list");
  EXPECT_EQ(ErrorOf("login:\n"), "f.yaml:1: login: has no value");
  EXPECT_EQ(ErrorOf("a: 1\n---\nb: 2\n"), "f.yaml:3: a second document is not allowed");
  EXPECT_EQ(ErrorOf("- a\n").substr(0, 8), "f.yaml:1");
  EXPECT_NE(ErrorOf("login: [unclosed\n").find("not valid YAML"), std::string::npos);
}

TEST(ParseDurationTest, NeedsAUnitAndNoSign) {
  EXPECT_EQ(*ParseDuration("90s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("1h30m"), absl::Minutes(90));
  EXPECT_EQ(*ParseDuration("2d"), absl::Hours(48));
  EXPECT_EQ(*ParseDuration("1d12h"), absl::Hours(36));
  for (const char* bad : {"", "5", "-5s", "s", "5x", "inf", "1e9h", "d", "-1d"})
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
}

TEST(FileTest, WritesAtomicallyWithTheModeAsked) {
  const std::string path = std::string(getenv("TEST_TMPDIR")) + "/secret";
  ASSERT_TRUE(WriteFileAtomically(path, "one", 0600).ok());
  ASSERT_TRUE(WriteFileAtomically(path, "two", 0600).ok());
  EXPECT_EQ(*ReadFile(path), "two");
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(ReadFile(path, 2).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReadFile(path + ".none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(ReadFile(getenv("TEST_TMPDIR")).ok());
  EXPECT_FALSE(WriteFileAtomically("/nonexistent/x", "y", 0600).ok());
}

TEST(ParseYamlTest, AByteOrderMarkIsNoPartOfTheFirstKey) {
  bus::BusConfig config;
  EXPECT_TRUE(Read("\xef\xbb\xbflogin: a\n", &config).ok());
  EXPECT_EQ(config.login(), "a");
}

TEST(FileTest, AFileOfRightsThatEverybodyMayWriteIsRefused) {
  const std::string directory = std::string(getenv("TEST_TMPDIR")) + "/rights";
  ASSERT_EQ(mkdir(directory.c_str(), 0755), 0);
  const std::string path = directory + "/policy.yaml";
  ASSERT_TRUE(WriteFileAtomically(path, "rules: []", 0644).ok());
  EXPECT_TRUE(ReadRightsFile(path).ok());
  for (const int mode : {0666, 0602, 0646}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_EQ(ReadRightsFile(path).status().code(), absl::StatusCode::kPermissionDenied) << mode;
    EXPECT_NE(ReadRightsFile(path).status().message().find(path + ": everybody may write it"),
              std::string::npos);
  }
  EXPECT_TRUE(ReadFile(path).ok()) << "it is a question of rights alone";
  ASSERT_EQ(chmod(path.c_str(), 0664), 0);
  EXPECT_TRUE(ReadRightsFile(path).ok());
  // Whoever may write the directory may replace the file; with the sticky bit only its owner may.
  ASSERT_EQ(chmod(directory.c_str(), 0777), 0);
  EXPECT_EQ(ReadRightsFile(path).status().code(), absl::StatusCode::kPermissionDenied);
  const std::string link = std::string(getenv("TEST_TMPDIR")) + "/link.yaml";
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  EXPECT_EQ(ReadRightsFile(link).status().code(), absl::StatusCode::kPermissionDenied);
  ASSERT_EQ(chmod(directory.c_str(), 01777), 0);
  EXPECT_TRUE(ReadRightsFile(path).ok());
  EXPECT_TRUE(ReadRightsFile(link).ok());
}

}  // namespace
}  // namespace orch::base
