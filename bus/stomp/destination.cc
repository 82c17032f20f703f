// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/destination.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace orch::bus {
namespace {

// What ActiveMQ and the embedded broker call a destination; `kind` is topic or queue.
std::string Named(absl::string_view kind, const Destinations& of, absl::string_view collective,
                  absl::string_view rest) {
  return absl::StrCat("/", kind, "/", of.prefix, ".", collective, ".", rest);
}

std::string Exchange(absl::string_view exchange, const Destinations& of,
                     absl::string_view collective, absl::string_view rest) {
  return absl::StrCat("/exchange/", of.prefix, ".", exchange, "/", collective, ".", rest);
}

absl::string_view FirstLine(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text);
  return absl::StripTrailingAsciiWhitespace(text.substr(0, text.find('\n')));
}

}  // namespace

Destinations Destinations::FromConfig(const BusConfig& config) {
  Destinations out;
  if (config.flavour() != FLAVOUR_UNSPECIFIED) out.flavour = config.flavour();
  if (!config.destination_prefix().empty()) out.prefix = config.destination_prefix();
  return out;
}

std::string Destinations::Request(absl::string_view collective) const {
  return flavour == FLAVOUR_RABBITMQ ? Exchange("cmd", *this, collective, "request")
                                     : Named("topic", *this, collective, "request");
}

std::string Destinations::Node(absl::string_view collective, absl::string_view identity) const {
  const std::string rest = absl::StrCat("node.", identity);
  return flavour == FLAVOUR_RABBITMQ ? Exchange("cmd", *this, collective, rest)
                                     : Named("topic", *this, collective, rest);
}

std::string Destinations::Reply(absl::string_view collective, absl::string_view controller) const {
  const std::string rest = absl::StrCat("reply.", controller);
  return flavour == FLAVOUR_RABBITMQ ? Exchange("rep", *this, collective, rest)
                                     : Named("queue", *this, collective, rest);
}

std::string Destinations::Presence(absl::string_view collective) const {
  return flavour == FLAVOUR_RABBITMQ ? Exchange("rep", *this, collective, "presence")
                                     : Named("topic", *this, collective, "presence");
}

absl::Time BrokerExpiry(Flavour flavour, absl::Time expires, std::optional<absl::Duration> skew) {
  return flavour == FLAVOUR_ACTIVEMQ ? expires - skew.value_or(absl::ZeroDuration()) : expires;
}

std::vector<Header> SendHeaders(Flavour flavour, absl::Time expires, absl::Time now) {
  std::vector<Header> headers = {{"persistent", "false"}};
  if (expires == absl::InfiniteFuture()) return headers;
  if (flavour != FLAVOUR_ACTIVEMQ) {
    // 0 would mean: only to a consumer that waits right now; to the embedded broker, never.
    const int64_t left = std::max<int64_t>(1, absl::ToInt64Milliseconds(expires - now));
    headers.push_back({"expiration", absl::StrCat(left)});
  } else {
    // 0 would mean: never.
    const int64_t at = std::max<int64_t>(1, absl::ToUnixMillis(expires));
    headers.push_back({"expires", absl::StrCat(at)});
  }
  return headers;
}

std::vector<Header> SubscribeHeaders(Flavour flavour) {
  if (flavour != FLAVOUR_ACTIVEMQ) return {};
  return {{"activemq.prefetchSize", absl::StrCat(kActiveMqPrefetch)}};
}

std::vector<Header> ConnectHeaders(Flavour flavour, absl::string_view client_id) {
  if (flavour == FLAVOUR_ACTIVEMQ || client_id.empty()) return {};
  return {{"client-id", std::string(client_id)}};
}

std::string DefaultVirtualHost(Flavour flavour, absl::string_view broker_host) {
  return flavour == FLAVOUR_RABBITMQ ? "/" : std::string(broker_host);
}

std::string ErrorText(Flavour flavour, const Frame& error) {
  const std::string* message = error.Find("message");
  std::string text(message != nullptr ? FirstLine(*message) : FirstLine(error.body));
  if (text.empty()) text = "no reason given";
  if (flavour == FLAVOUR_RABBITMQ && message != nullptr && !FirstLine(error.body).empty()) {
    absl::StrAppend(&text, " (", FirstLine(error.body), ")");
  }
  if (text.size() > kErrorTextMax) text.resize(kErrorTextMax);
  for (char& c : text) {
    if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
  }
  return text;
}

}  // namespace orch::bus
