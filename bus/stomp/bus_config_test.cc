// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/bus_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <fstream>

namespace orch::bus {
namespace {

BusConfig Tls() {
  BusConfig config;
  config.add_brokers("broker1:61614");
  return config;
}

BusConfig Plain(const std::string& broker) {
  BusConfig config;
  config.add_brokers(broker);
  config.set_tls(false);
  return config;
}

void SetLogin(BusConfig* config) {
  config->set_login("mcollective");
  config->set_passcode_file("/etc/orch/passcode");
}

// The field that the refusal begins with; empty: accepted.
std::string RefusedField(const BusConfig& config) {
  const absl::Status status = ValidateBusConfig(config);
  if (status.ok()) return "";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  const std::string message(status.message());
  return message.substr(0, message.find(": "));
}

TEST(ValidateBusConfigTest, TlsNeedsNothingButABroker) {
  EXPECT_EQ(RefusedField(Tls()), "");
  EXPECT_TRUE(UsesTls(Tls()));
  EXPECT_FALSE(UsesTls(Plain("127.0.0.1:1")));
}

TEST(ValidateBusConfigTest, BrokersAreNamedAndBounded) {
  BusConfig config;
  EXPECT_EQ(RefusedField(config), "brokers");
  for (const char* bad : {"broker1", "broker1:0", "broker1:x", ":1"}) {
    config = Tls();
    config.add_brokers(bad);
    EXPECT_EQ(RefusedField(config), "brokers") << bad;
  }
  config = Tls();
  for (int i = 1; i < kBrokersMax; ++i) config.add_brokers("broker2:61614");
  EXPECT_EQ(RefusedField(config), "");
  config.add_brokers("broker2:61614");
  EXPECT_EQ(RefusedField(config), "brokers");
}

TEST(ValidateBusConfigTest, WithoutTlsAndLoginOnlyOnLoopbackAndByName) {
  BusConfig config = Plain("127.0.0.1:61613");
  EXPECT_EQ(RefusedField(config), "tls");
  config.set_insecure_loopback(true);
  EXPECT_EQ(RefusedField(config), "");
  config.add_brokers("[::1]:61613");
  EXPECT_EQ(RefusedField(config), "");
  config.add_brokers("broker1:61613");
  EXPECT_EQ(RefusedField(config), "insecure_loopback");
  config.set_allow_plaintext(true);
  EXPECT_EQ(RefusedField(config), "insecure_loopback");
}

TEST(ValidateBusConfigTest, ALoginBeyondLoopbackNeedsTlsOrAllowPlaintext) {
  BusConfig config = Plain("localhost:61613");
  SetLogin(&config);
  EXPECT_EQ(RefusedField(config), "");
  config.add_brokers("broker1:61613");
  EXPECT_EQ(RefusedField(config), "allow_plaintext");
  config.set_insecure_loopback(true);
  EXPECT_EQ(RefusedField(config), "allow_plaintext");
  config.set_allow_plaintext(true);
  EXPECT_EQ(RefusedField(config), "");
}

TEST(ValidateBusConfigTest, FieldsThatBelongTogether) {
  BusConfig config = Tls();
  config.set_login("x");
  EXPECT_EQ(RefusedField(config), "passcode_file");
  config = Tls();
  config.set_passcode_file("/x");
  EXPECT_EQ(RefusedField(config), "login");
  config = Tls();
  config.set_insecure_loopback(true);
  EXPECT_EQ(RefusedField(config), "insecure_loopback");
  config = Plain("127.0.0.1:1");
  config.set_insecure_loopback(true);
  config.set_tls_server_name("broker1");
  EXPECT_EQ(RefusedField(config), "tls_server_name");
}

TEST(ValidateBusConfigTest, NothingCanForgeAHeaderLineOrADestination) {
  BusConfig config = Tls();
  config.set_virtual_host("a\nlogin:b");
  EXPECT_EQ(RefusedField(config), "virtual_host");
  config = Tls();
  SetLogin(&config);
  config.set_login("a\rb");
  EXPECT_EQ(RefusedField(config), "login");
  for (const char* bad : {"a>", "a.*", "a/b", "a b", ".a", "a.", "\n"}) {
    config = Tls();
    config.set_destination_prefix(bad);
    EXPECT_EQ(RefusedField(config), "destination_prefix") << bad;
  }
  config.set_destination_prefix(std::string(65, 'a'));
  EXPECT_EQ(RefusedField(config), "destination_prefix");
  config.set_destination_prefix("Site-1.orch_x");
  EXPECT_EQ(RefusedField(config), "");
}

TEST(ValidateBusConfigTest, TimesAreWithinBounds) {
  BusConfig config = Tls();
  config.mutable_heart_beat()->set_nanos(999'000'000);
  EXPECT_EQ(RefusedField(config), "heart_beat");
  config.mutable_heart_beat()->set_seconds(7200);
  EXPECT_EQ(RefusedField(config), "heart_beat");
  config.mutable_heart_beat()->set_seconds(10);
  EXPECT_EQ(RefusedField(config), "");
  config.mutable_reconnect_min();
  EXPECT_EQ(RefusedField(config), "reconnect_min");
  config.mutable_reconnect_min()->set_seconds(40);
  EXPECT_EQ(RefusedField(config), "reconnect_max");
  config.mutable_reconnect_max()->set_seconds(50);
  EXPECT_EQ(RefusedField(config), "");
  config.mutable_reconnect_max()->set_seconds(5000);
  EXPECT_EQ(RefusedField(config), "reconnect_max");
  config.mutable_reconnect_max()->set_seconds(50);
  config.mutable_heart_beat()->set_seconds(30);
  config.mutable_reconnect_spread()->set_seconds(15);
  EXPECT_EQ(RefusedField(config), "");
  config.mutable_reconnect_spread()->set_seconds(16);
  EXPECT_EQ(RefusedField(config), "reconnect_spread") << "over half of heart_beat";
  config.mutable_reconnect_spread()->set_seconds(-1);
  EXPECT_EQ(RefusedField(config), "reconnect_spread");
}

TEST(TimesOfTest, DefaultsAndValues) {
  BusConfig config;
  EXPECT_EQ(TimesOf(config).heart_beat, absl::Seconds(30));
  EXPECT_EQ(TimesOf(config).reconnect_min, absl::Milliseconds(500));
  EXPECT_EQ(TimesOf(config).reconnect_max, absl::Seconds(30));
  EXPECT_EQ(TimesOf(config).reconnect_spread, absl::Seconds(10));
  config.mutable_heart_beat()->set_seconds(1);
  config.mutable_heart_beat()->set_nanos(500'000'000);
  EXPECT_EQ(TimesOf(config).heart_beat, absl::Milliseconds(1500));
  EXPECT_EQ(TimesOf(config).reconnect_spread, absl::Milliseconds(750));
  config.mutable_reconnect_max()->set_nanos(5'000'000);
  EXPECT_EQ(TimesOf(config).reconnect_spread, absl::Milliseconds(5));
  config.mutable_reconnect_spread()->set_seconds(0);
  EXPECT_EQ(TimesOf(config).reconnect_spread, absl::ZeroDuration());
}

class PasscodeTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& content, mode_t mode) {
    const std::string path = ::testing::TempDir() + "/passcode";
    std::remove(path.c_str());
    std::ofstream(path) << content;
    chmod(path.c_str(), mode);
    return path;
  }
};

TEST_F(PasscodeTest, IsTheOneLineOfTheFile) {
  EXPECT_EQ(*ReadPasscode(Write("secret\n", 0600)), "secret");
  EXPECT_EQ(*ReadPasscode(Write("se cret:\\\r\n", 0400)), "se cret:\\");
  EXPECT_EQ(*ReadPasscode(Write(std::string(kPasscodeMax, 'x'), 0640)),
            std::string(kPasscodeMax, 'x'));
}

TEST_F(PasscodeTest, IsRefusedWhereOthersMayReadIt) {
  const absl::Status status = ReadPasscode(Write("secret\n", 0604)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_EQ(status.message().find("secret\n"), absl::string_view::npos);
  EXPECT_NE(status.message().find("passcode_file /"), absl::string_view::npos) << status;
}

TEST_F(PasscodeTest, BadContentIsNamedAndNeverQuoted) {
  for (const std::string& bad :
       {std::string(), std::string("\n"), std::string("hunter2\nx"), std::string("a\0hunter2", 9),
        std::string(kPasscodeMax + 1, 'x'), std::string(100'000, 'x')}) {
    const absl::Status status = ReadPasscode(Write(bad, 0600)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(status.message().find("hunter2"), absl::string_view::npos) << status;
  }
  EXPECT_EQ(ReadPasscode("/nonexistent/x").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReadPasscode("/tmp").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace orch::bus
