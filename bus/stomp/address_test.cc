// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/address.h"

#include <gtest/gtest.h>

namespace orch::bus {
namespace {

TEST(AddressTest, ReadsNamesAndAddresses) {
  struct Case {
    const char* text;
    const char* host;
    uint16_t port;
  };
  for (const Case& c : {Case{"broker1:61614", "broker1", 61614},
                        {"127.0.0.1:0", "127.0.0.1", 0},
                        {"[::1]:61613", "::1", 61613},
                        {"[fe80::1]:65535", "fe80::1", 65535},
                        {"a.b-c_d.example.net:1", "a.b-c_d.example.net", 1}}) {
    const absl::StatusOr<Address> address = ParseAddress(c.text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(address->host, c.host);
    EXPECT_EQ(address->port, c.port);
  }
}

TEST(AddressTest, RefusesWithTheTextAndTheReason) {
  struct Case {
    const char* text;
    const char* why;
  };
  for (const Case& c : {Case{"broker1", "a port is missing"},
                        {"", "a port is missing"},
                        {":61613", "the host is missing"},
                        {"broker1:", "not a number"},
                        {"broker1:65536", "not a number"},
                        {"broker1:-1", "not a number"},
                        {"broker1: 61613", "not a number"},
                        {"broker1:99999999999999999999", "not a number"},
                        {"::1:61613", "needs brackets"},
                        {"[::1:61613", "']' is missing"},
                        {"[broker1]:61613", "not an IPv6 address"},
                        {"[]:1", "not an IPv6 address"},
                        {"bro ker:1", "no host name has"},
                        {"broker\n:1", "no host name has"},
                        {"broker/x:1", "no host name has"}}) {
    const absl::StatusOr<Address> address = ParseAddress(c.text);
    ASSERT_FALSE(address.ok()) << c.text;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(address.status().message().find(c.why), absl::string_view::npos) << address.status();
    EXPECT_NE(address.status().message().find(c.text), absl::string_view::npos) << address.status();
  }
  EXPECT_FALSE(ParseAddress(std::string(254, 'a') + ":1").ok());
}

TEST(AddressTest, OnlyWhatMustBeThisMachineIsLoopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.255.0.3", "::1"}) {
    EXPECT_TRUE(IsLoopback(host)) << host;
  }
  for (const char* host : {"", "localhost.example.net", "127.0.0.1.example.net", "128.0.0.1",
                           "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "broker1"}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(AddressTest, APartyIsAnAddressOrAnIpv6Network) {
  EXPECT_EQ(NetworkOf("10.0.0.1:4711"), "10.0.0.1");
  EXPECT_EQ(NetworkOf("[2001:db8:1:2:3:4:5:6]:4711"), "2001:db8:1:2::/64");
  EXPECT_EQ(NetworkOf("[2001:db8:1:2::5]:1"), "2001:db8:1:2::/64");
  EXPECT_EQ(NetworkOf("[::1]:4711"), "::1");
  EXPECT_EQ(NetworkOf("nobody"), "nobody");
}

}  // namespace
}  // namespace orch::bus
