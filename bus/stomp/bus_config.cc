// SPDX-License-Identifier: Apache-2.0
#include "bus/stomp/bus_config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "bus/stomp/address.h"

namespace orch::bus {
namespace {

constexpr size_t kPrefixMax = 64;
constexpr size_t kWordMax = 1024;  // login, virtual host
constexpr absl::Duration kHeartBeatMin = absl::Seconds(1);
constexpr absl::Duration kHeartBeatMax = absl::Hours(1);
constexpr absl::Duration kReconnectMin = absl::Milliseconds(10);
constexpr absl::Duration kReconnectMax = absl::Hours(1);

absl::Status Bad(absl::string_view field, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", why));
}

absl::Status CheckBrokers(const BusConfig& config, bool* all_loopback) {
  if (config.brokers().empty()) return Bad("brokers", "name at least one, as host:port");
  if (config.brokers_size() > kBrokersMax) {
    return Bad("brokers", absl::StrCat("at most ", kBrokersMax));
  }
  *all_loopback = true;
  for (const std::string& broker : config.brokers()) {
    const absl::StatusOr<Address> address = ParseAddress(broker);
    if (!address.ok()) return Bad("brokers", address.status().message());
    if (address->port == 0) return Bad("brokers", absl::StrCat(broker, ": a port is missing"));
    *all_loopback = *all_loopback && IsLoopback(address->host);
  }
  return absl::OkStatus();
}

// CONNECT frames have no escapes, so nothing in them may end a line.
absl::Status CheckWord(absl::string_view field, absl::string_view value) {
  if (value.size() > kWordMax) return Bad(field, absl::StrCat("over ", kWordMax, " bytes"));
  for (char c : value) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      return Bad(field, "has a control character");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPrefix(absl::string_view prefix) {
  if (prefix.empty()) return absl::OkStatus();
  if (prefix.size() > kPrefixMax) {
    return Bad("destination_prefix", absl::StrCat("over ", kPrefixMax, " bytes"));
  }
  for (char c : prefix) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') {
      return Bad("destination_prefix", "only letters, digits, '.', '_' and '-'");
    }
  }
  if (prefix.front() == '.' || prefix.back() == '.') {
    return Bad("destination_prefix", "must not begin or end with '.'");
  }
  return absl::OkStatus();
}

absl::Status CheckTimes(const BusConfig& config) {
  const BusTimes times = TimesOf(config);
  if (times.heart_beat < kHeartBeatMin || times.heart_beat > kHeartBeatMax) {
    return Bad("heart_beat", "must be from 1s to 1h");
  }
  if (times.reconnect_min < kReconnectMin || times.reconnect_min > kReconnectMax) {
    return Bad("reconnect_min", "must be from 0.01s to 1h");
  }
  if (times.reconnect_max > kReconnectMax) return Bad("reconnect_max", "must be at most 1h");
  if (times.reconnect_max < times.reconnect_min) {
    return Bad("reconnect_max", "must not be below reconnect_min");
  }
  if (times.reconnect_spread < absl::ZeroDuration()) {
    return Bad("reconnect_spread", "must not be negative");
  }
  if (times.reconnect_spread > times.heart_beat / 2) {
    return Bad("reconnect_spread",
               "must be at most half of heart_beat, so that the next broker is tried within two");
  }
  return absl::OkStatus();
}

absl::Status CheckPlaintext(const BusConfig& config, bool all_loopback) {
  if (UsesTls(config)) {
    if (config.insecure_loopback()) {
      return Bad("insecure_loopback", "is for tls: false; remove one of them");
    }
    return absl::OkStatus();
  }
  if (!config.tls_server_name().empty()) return Bad("tls_server_name", "needs tls");
  if (config.login().empty()) {
    if (!config.insecure_loopback()) {
      return Bad("tls", "false without a login needs insecure_loopback: true");
    }
    if (!all_loopback) {
      return Bad("insecure_loopback", "a broker beyond loopback needs tls, or a login");
    }
  } else if (!all_loopback && !config.allow_plaintext()) {
    return Bad("allow_plaintext",
               "login and passcode would cross the network readable; use tls, or permit it by "
               "allow_plaintext: true");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ValidateBusConfig(const BusConfig& config) {
  bool all_loopback = false;
  ORCH_RETURN_IF_ERROR(CheckBrokers(config, &all_loopback));
  if (!Flavour_IsValid(config.flavour())) return Bad("flavour", "unknown");
  if (!BrokerOrder_IsValid(config.order())) return Bad("order", "unknown");
  ORCH_RETURN_IF_ERROR(CheckPrefix(config.destination_prefix()));
  ORCH_RETURN_IF_ERROR(CheckWord("tls_server_name", config.tls_server_name()));
  ORCH_RETURN_IF_ERROR(CheckWord("login", config.login()));
  ORCH_RETURN_IF_ERROR(CheckWord("virtual_host", config.virtual_host()));
  if (config.login().empty() != config.passcode_file().empty()) {
    return config.login().empty() ? Bad("login", "needed with passcode_file")
                                  : Bad("passcode_file", "needed with login");
  }
  ORCH_RETURN_IF_ERROR(CheckPlaintext(config, all_loopback));
  return CheckTimes(config);
}

bool UsesTls(const BusConfig& config) { return !config.has_tls() || config.tls(); }

BusTimes TimesOf(const BusConfig& config) {
  BusTimes times;
  if (config.has_heart_beat()) times.heart_beat = ToDuration(config.heart_beat());
  if (config.has_reconnect_min()) times.reconnect_min = ToDuration(config.reconnect_min());
  if (config.has_reconnect_max()) times.reconnect_max = ToDuration(config.reconnect_max());
  times.reconnect_spread =
      config.has_reconnect_spread()
          ? ToDuration(config.reconnect_spread())
          : std::min({times.reconnect_spread, times.reconnect_max, times.heart_beat / 2});
  return times;
}

absl::StatusOr<std::string> ReadPasscode(const std::string& path) {
  const auto failed = [&path](absl::StatusCode code, absl::string_view why) {
    return absl::Status(code, absl::StrCat("passcode_file ", path, ": ", why));
  };
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    return failed(
        errno == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kPermissionDenied,
        std::strerror(errno));
  }
  struct stat status;
  char buffer[kPasscodeMax + 2];
  const bool known = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const ssize_t size = known ? read(fd, buffer, sizeof buffer) : -1;
  close(fd);
  if (!known) return failed(absl::StatusCode::kInvalidArgument, "not a file");
  if ((status.st_mode & S_IRWXO) != 0) {
    return failed(absl::StatusCode::kPermissionDenied, "others may read it; chmod 600 it");
  }
  if (size < 0) return failed(absl::StatusCode::kPermissionDenied, "can't be read");

  absl::string_view text(buffer, static_cast<size_t>(size));
  text = text.substr(0, text.find_last_not_of("\r\n") + 1);
  if (text.empty()) return failed(absl::StatusCode::kInvalidArgument, "empty");
  if (text.size() > kPasscodeMax) return failed(absl::StatusCode::kInvalidArgument, "too long");
  if (!CheckWord("", text).ok()) {
    return failed(absl::StatusCode::kInvalidArgument, "must be one line of text");
  }
  return std::string(text);
}

}  // namespace orch::bus
