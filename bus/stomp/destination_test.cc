// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/destination.h"

#include <gtest/gtest.h>

namespace orch::bus {
namespace {

std::string Text(const std::vector<Header>& headers) {
  std::string out;
  for (const Header& header : headers) out += header.name + ":" + header.value + "\n";
  return out;
}

TEST(DestinationsTest, EmbeddedAndActiveMqNameTopicsAndQueues) {
  for (Flavour flavour : {FLAVOUR_EMBEDDED, FLAVOUR_ACTIVEMQ}) {
    const Destinations d{flavour, "orch"};
    EXPECT_EQ(d.Request("main"), "/topic/orch.main.request");
    EXPECT_EQ(d.Node("main", "web1.example.net"), "/topic/orch.main.node.web1.example.net");
    EXPECT_EQ(d.Reply("main", "c1"), "/queue/orch.main.reply.c1");
    EXPECT_EQ(d.Presence("main"), "/topic/orch.main.presence");
  }
}

TEST(DestinationsTest, TheClassicPrefixFallsUnderTheClassicRights) {
  const Destinations d{FLAVOUR_ACTIVEMQ, "mcollective"};
  for (const std::string& name :
       {d.Request("main"), d.Node("main", "n1"), d.Reply("main", "c1"), d.Presence("main")}) {
    const std::string rest = name.substr(name.find('/', 1) + 1);
    EXPECT_EQ(rest.rfind("mcollective.", 0), 0u) << name;
  }
}

TEST(DestinationsTest, RabbitMqRoutesThroughTwoExchanges) {
  const Destinations d{FLAVOUR_RABBITMQ, "orch"};
  EXPECT_EQ(d.Request("main"), "/exchange/orch.cmd/main.request");
  EXPECT_EQ(d.Node("main", "web1.example.net"), "/exchange/orch.cmd/main.node.web1.example.net");
  EXPECT_EQ(d.Reply("main", "c1"), "/exchange/orch.rep/main.reply.c1");
  EXPECT_EQ(d.Presence("main"), "/exchange/orch.rep/main.presence");
}

TEST(DestinationsTest, DefaultsStandForWhatIsNotConfigured) {
  BusConfig config;
  EXPECT_EQ(Destinations::FromConfig(config).flavour, FLAVOUR_EMBEDDED);
  EXPECT_EQ(Destinations::FromConfig(config).prefix, "orch");
  config.set_flavour(FLAVOUR_ACTIVEMQ);
  config.set_destination_prefix("mcollective");
  EXPECT_EQ(Destinations::FromConfig(config).flavour, FLAVOUR_ACTIVEMQ);
  EXPECT_EQ(Destinations::FromConfig(config).prefix, "mcollective");
}

TEST(SendHeadersTest, ExpiryIsATimeOrWhatIsLeftOfIt) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const absl::Time expires = now + absl::Seconds(60);
  EXPECT_EQ(Text(SendHeaders(FLAVOUR_EMBEDDED, expires, now)),
            "persistent:false\nexpiration:60000\n");
  EXPECT_EQ(Text(SendHeaders(FLAVOUR_ACTIVEMQ, expires, now)),
            "persistent:false\nexpires:1800000060000\n");
  EXPECT_EQ(Text(SendHeaders(FLAVOUR_RABBITMQ, expires, now)),
            "persistent:false\nexpiration:60000\n");
}

TEST(SendHeadersTest, ASendersClockMattersToActiveMqAlone) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  const absl::Duration slow = absl::Minutes(-15);
  const absl::Time expires = now + slow + absl::Minutes(2);  // by a clock 15 min slow
  for (const Flavour flavour : {FLAVOUR_EMBEDDED, FLAVOUR_RABBITMQ}) {
    EXPECT_EQ(BrokerExpiry(flavour, expires, slow), expires);
    EXPECT_EQ(BrokerExpiry(flavour, expires, std::nullopt), expires);
    EXPECT_EQ(Text(SendHeaders(flavour, expires, now + slow)),
              "persistent:false\nexpiration:120000\n");
  }
  EXPECT_EQ(BrokerExpiry(FLAVOUR_ACTIVEMQ, expires, slow), now + absl::Minutes(2));
  EXPECT_EQ(BrokerExpiry(FLAVOUR_ACTIVEMQ, expires, std::nullopt), expires);
}

TEST(SendHeadersTest, WhatIsPastExpiresAtOnceAndInfinityNever) {
  const absl::Time now = absl::FromUnixSeconds(1'800'000'000);
  EXPECT_EQ(Text(SendHeaders(FLAVOUR_RABBITMQ, now - absl::Hours(1), now)),
            "persistent:false\nexpiration:1\n");
  EXPECT_EQ(Text(SendHeaders(FLAVOUR_ACTIVEMQ, absl::InfinitePast(), now)),
            "persistent:false\nexpires:1\n");
  for (Flavour flavour : {FLAVOUR_EMBEDDED, FLAVOUR_ACTIVEMQ, FLAVOUR_RABBITMQ}) {
    EXPECT_EQ(Text(SendHeaders(flavour, absl::InfiniteFuture(), now)), "persistent:false\n");
  }
}

TEST(OtherHeadersTest, EachBrokerGetsWhatItUnderstands) {
  EXPECT_EQ(Text(SubscribeHeaders(FLAVOUR_ACTIVEMQ)), "activemq.prefetchSize:100\n");
  EXPECT_EQ(Text(SubscribeHeaders(FLAVOUR_EMBEDDED)), "");
  EXPECT_EQ(Text(SubscribeHeaders(FLAVOUR_RABBITMQ)), "");
  EXPECT_EQ(Text(ConnectHeaders(FLAVOUR_EMBEDDED, "n1")), "client-id:n1\n");
  EXPECT_EQ(Text(ConnectHeaders(FLAVOUR_EMBEDDED, "")), "");
  EXPECT_EQ(Text(ConnectHeaders(FLAVOUR_ACTIVEMQ, "n1")), "");
  EXPECT_EQ(DefaultVirtualHost(FLAVOUR_ACTIVEMQ, "broker1"), "broker1");
  EXPECT_EQ(DefaultVirtualHost(FLAVOUR_RABBITMQ, "broker1"), "/");
}

TEST(ErrorTextTest, TakesTheReasonAndLeavesTheStackTrace) {
  Frame error{"ERROR",
              {{"message", "User name [x] or password is invalid."}},
              "java.lang.SecurityException: User\n\tat org.apache"};
  EXPECT_EQ(ErrorText(FLAVOUR_ACTIVEMQ, error), "User name [x] or password is invalid.");
  Frame rabbit{"ERROR", {{"message", "Bad CONNECT"}}, "Access refused for user 'x'\n"};
  EXPECT_EQ(ErrorText(FLAVOUR_RABBITMQ, rabbit), "Bad CONNECT (Access refused for user 'x')");
  EXPECT_EQ(ErrorText(FLAVOUR_EMBEDDED, rabbit), "Bad CONNECT");
  Frame body_only{"ERROR", {}, "\n no such luck \nmore"};
  EXPECT_EQ(ErrorText(FLAVOUR_EMBEDDED, body_only), "no such luck");
  EXPECT_EQ(ErrorText(FLAVOUR_EMBEDDED, Frame{"ERROR", {}, ""}), "no reason given");
}

TEST(ErrorTextTest, IsBoundedAndPrintable) {
  const Frame error{"ERROR", {{"message", "a\x1b[31m\xff" + std::string(5000, 'b')}}, ""};
  const std::string text = ErrorText(FLAVOUR_EMBEDDED, error);
  EXPECT_EQ(text.size(), kErrorTextMax);
  EXPECT_EQ(text.substr(0, 8), "a?[31m?b");
}

}  // namespace
}  // namespace orch::bus
