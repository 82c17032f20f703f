// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/address.h"

#include <arpa/inet.h>

#include <cstring>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace orch::bus {
namespace {

constexpr size_t kHostMax = 253;

absl::Status Bad(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("address \"", text, "\": ", why));
}

bool IsHostCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || c == '_';
}

}  // namespace

absl::StatusOr<Address> ParseAddress(absl::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos) return Bad(text, "a port is missing; write host:port");
  absl::string_view host = text.substr(0, colon);
  const absl::string_view port = text.substr(colon + 1);

  uint32_t number = 0;
  const bool digits = port.find_first_not_of("0123456789") == absl::string_view::npos;
  if (!digits || !absl::SimpleAtoi(port, &number) || number > 65535) {
    return Bad(text, "the port is not a number from 0 to 65535");
  }
  if (host.empty()) return Bad(text, "the host is missing; write host:port");

  Address address;
  address.port = static_cast<uint16_t>(number);
  if (host.front() == '[') {
    in6_addr parsed;
    if (host.back() != ']') return Bad(text, "a ']' is missing");
    address.host = std::string(host.substr(1, host.size() - 2));
    if (inet_pton(AF_INET6, address.host.c_str(), &parsed) != 1) {
      return Bad(text, "not an IPv6 address between the brackets");
    }
    return address;
  }
  if (absl::StrContains(host, ':')) return Bad(text, "an IPv6 address needs brackets");
  if (host.size() > kHostMax) return Bad(text, "the host is too long");
  for (char c : host) {
    if (!IsHostCharacter(c)) return Bad(text, "the host has a character that no host name has");
  }
  address.host = std::string(host);
  return address;
}

bool IsLoopback(absl::string_view host) {
  if (host == "localhost") return true;
  const std::string text(host);
  in_addr v4;
  if (inet_pton(AF_INET, text.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, text.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string NetworkOf(absl::string_view peer) {
  const size_t colon = peer.rfind(':');
  if (colon == absl::string_view::npos) return std::string(peer);
  absl::string_view host = peer.substr(0, colon);
  if (!absl::ConsumePrefix(&host, "[")) return std::string(host);
  absl::ConsumeSuffix(&host, "]");
  in6_addr address;
  if (inet_pton(AF_INET6, std::string(host).c_str(), &address) != 1) return std::string(host);
  if (IN6_IS_ADDR_V4MAPPED(&address) || IN6_IS_ADDR_LOOPBACK(&address)) return std::string(host);
  constexpr size_t kPrefixBytes = 8;
  std::memset(address.s6_addr + kPrefixBytes, 0, sizeof(address.s6_addr) - kPrefixBytes);
  char text[INET6_ADDRSTRLEN] = "";
  inet_ntop(AF_INET6, &address, text, sizeof(text));
  return absl::StrCat(text, "/64");
}

}  // namespace orch::bus
