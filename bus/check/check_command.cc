// SPDX-License-Identifier: Apache-2.0

// What is tested is what a process of that role would do with its own configuration file, so the
// files are read by the roles' own schemas and flags only override them; a role without a file
// takes the way to the broker from one that has a file, but never its login or certificate.
// Revocation lists are not demanded here (no_crl): the check judges the broker's rights, not the
// fleet's trust.

#include "bus/check/check_command.h"

#include <google/protobuf/util/json_util.h>

#include <exception>
#include <iostream>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/status.h"
#include "bus/check/check.h"
#include "bus/client/client.h"
#include "bus/stomp/address.h"
#include "bus/stomp/bus_config.h"
#include "bus/stomp/destination.h"
#include "controller/config.pb.h"
#include "nodeagent/config.pb.h"
#include "trust/identity.h"

namespace orch::bus {
namespace {

constexpr int kExitSurprise = 1;
constexpr int kExitUnreachable = 4;
constexpr int kExitUsage = 64;

// Everything that RunCheck wants.
struct Prepared {
  CheckBroker broker;
  CheckNames names;
  std::map<CheckRole, CheckCredentials> credentials;
};

// What one role's configuration file and flags come to.
struct RoleConfig {
  BusConfig bus;
  trust::TrustConfig trust;
  std::string collective;
};

absl::Status Wrong(absl::string_view what) { return absl::InvalidArgumentError(what); }

absl::StatusOr<RoleConfig> ReadRoleConfig(CheckRole role, const std::string& file) {
  RoleConfig out;
  if (file.empty()) return out;
  if (role == CHECK_ROLE_CONTROLLER) {
    controller::ControllerConfig config;
    ORCH_RETURN_IF_ERROR(base::LoadYaml(file, &config));
    out.bus = config.bus();
    if (out.bus.brokers().empty() && !config.broker().listen().empty()) {
      out.bus.add_brokers(config.broker().listen());
      out.bus.set_destination_prefix(config.broker().destination_prefix());
    }
    out.trust = config.trust();
    if (!config.collectives().empty()) out.collective = config.collectives(0);
  } else {
    nodeagent::NodeAgentConfig config;
    ORCH_RETURN_IF_ERROR(base::LoadYaml(file, &config));
    out.bus = config.bus();
    out.trust = config.trust();
    if (!config.collectives().empty()) out.collective = config.collectives(0);
  }
  return out;
}

// Flags win over the file.
absl::Status Override(const CheckFlags& flags, const CheckRoleFlags& role, RoleConfig* config) {
  BusConfig& bus = config->bus;
  if (!flags.broker.empty()) {
    bus.clear_brokers();
    bus.add_brokers(flags.broker);
  }
  if (!flags.flavour.empty()) {
    Flavour flavour;
    if (!Flavour_Parse(absl::StrCat("FLAVOUR_", absl::AsciiStrToUpper(flags.flavour)), &flavour)) {
      return Wrong(absl::StrCat("--flavour ", flags.flavour, ": unknown"));
    }
    bus.set_flavour(flavour);
  }
  if (!flags.prefix.empty()) bus.set_destination_prefix(flags.prefix);
  if (!flags.server_name.empty()) bus.set_tls_server_name(flags.server_name);
  if (!flags.virtual_host.empty()) bus.set_virtual_host(flags.virtual_host);
  if (!flags.collective.empty()) config->collective = flags.collective;
  if (!role.login.empty()) bus.set_login(role.login);
  if (!role.passcode_file.empty()) bus.set_passcode_file(role.passcode_file);
  if (flags.plaintext) {
    bus.set_tls(false);
    bus.clear_tls_server_name();
    bus.set_allow_plaintext(!bus.login().empty());
  }
  if (!UsesTls(bus)) bus.set_insecure_loopback(bus.login().empty());
  trust::TrustConfig& trust = config->trust;
  if (!role.cert.empty()) trust.set_certificate(role.cert);
  if (!role.key.empty()) trust.set_private_key(role.key);
  if (!flags.ca.empty()) trust.set_ca(flags.ca);
  if (!flags.crl.empty()) trust.set_crl(flags.crl);
  if (trust.crl().empty()) trust.set_no_crl(true);
  return absl::OkStatus();
}

// Who has no configuration of its own takes the way to the broker from another one's.
void Inherit(const RoleConfig& from, RoleConfig* to) {
  to->bus = from.bus;
  to->bus.clear_login();
  to->bus.clear_passcode_file();
  to->trust.set_ca(from.trust.ca());
  to->trust.set_crl(from.trust.crl());
  to->collective = from.collective;
}

absl::StatusOr<CheckCredentials> Load(CheckRole role, const RoleConfig& config, std::string* name) {
  CheckCredentials out;
  const std::string word = RoleWord(role);
  if (const absl::Status valid = ValidateBusConfig(config.bus); !valid.ok()) {
    return base::Annotate(valid, word);
  }
  std::shared_ptr<trust::Credentials> credentials;
  if (UsesTls(config.bus)) {
    const trust::TrustConfig& trust = config.trust;
    if (trust.certificate().empty() || trust.private_key().empty() || trust.ca().empty()) {
      return Wrong(absl::StrCat("with TLS the ", word, " needs --", word, "-cert, --", word,
                                "-key and --ca; without it say --plaintext"));
    }
    ORCH_ASSIGN_OR_RETURN(credentials,
                          trust::Credentials::Load(trust, base::SystemClock().Read().wall));
    if (name->empty()) *name = credentials->self().common_name;
  }
  if (name->empty()) *name = config.bus.login();
  ORCH_ASSIGN_OR_RETURN(out.streams, NewClientStreams(config.bus, credentials));
  out.login = config.bus.login();
  if (!out.login.empty()) {
    ORCH_ASSIGN_OR_RETURN(out.passcode, ReadPasscode(config.bus.passcode_file()));
  }
  return out;
}

absl::Status CheckTheNames(const CheckNames& names) {
  for (const std::string& name : {names.node, names.controller}) {
    if (!base::IsIdentity(name)) return Wrong(absl::StrCat("`", name, "` is no identity"));
  }
  for (const std::string& name : {names.collective, names.other_collective}) {
    if (!name.empty() && !base::IsCollective(name)) {
      return Wrong(absl::StrCat("`", name, "` is no collective"));
    }
  }
  if (names.collective == names.other_collective) {
    return Wrong("--other-collective is the collective itself");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<CheckRole, RoleConfig>> ReadRoles(const CheckFlags& flags) {
  std::map<CheckRole, RoleConfig> configs;
  std::optional<RoleConfig> model;
  for (const auto& [role, given] : flags.roles) {
    if (!given.given()) continue;
    ORCH_ASSIGN_OR_RETURN(configs[role], ReadRoleConfig(role, given.config));
    if (!given.config.empty()) model = configs[role];
  }
  for (auto& [role, config] : configs) {
    const CheckRoleFlags& given = flags.roles.at(role);
    if (given.config.empty() && model.has_value()) Inherit(*model, &config);
    ORCH_RETURN_IF_ERROR(Override(flags, given, &config));
  }
  // Nobody has to show anything for plain STOMP on loopback.
  if (configs.empty() && flags.plaintext) {
    for (const CheckRole role : {CHECK_ROLE_NODE, CHECK_ROLE_CONTROLLER}) {
      ORCH_RETURN_IF_ERROR(Override(flags, CheckRoleFlags(), &configs[role]));
    }
  }
  if (configs.empty()) {
    return Wrong(
        "whose rights? Give --node-cert and --node-key, --controller-cert and …, see --help");
  }
  return configs;
}

absl::StatusOr<Prepared> Prepare(const CheckFlags& flags) {
  Prepared out;
  std::map<CheckRole, RoleConfig> configs;
  ORCH_ASSIGN_OR_RETURN(configs, ReadRoles(flags));
  const absl::StatusOr<absl::Duration> timeout = base::ParseDuration(flags.timeout);
  if (!timeout.ok() || *timeout <= absl::ZeroDuration()) {
    return Wrong(absl::StrCat("--timeout ", flags.timeout,
                              ": expected a duration above 0 such as 5s or 0.5s"));
  }
  out.broker.timeout = *timeout;
  const RoleConfig& first = configs.begin()->second;
  if (first.bus.brokers().empty()) return Wrong("which broker? Give --broker HOST:PORT");
  out.broker.address = first.bus.brokers(0);
  const absl::StatusOr<Address> address = ParseAddress(out.broker.address);
  if (!address.ok()) return Wrong(absl::StrCat("--broker ", address.status().message()));
  const Destinations destinations = Destinations::FromConfig(first.bus);
  out.broker.flavour = destinations.flavour;
  out.broker.virtual_host = first.bus.virtual_host().empty()
                                ? DefaultVirtualHost(destinations.flavour, address->host)
                                : first.bus.virtual_host();
  out.names.flavour = destinations.flavour;
  out.names.prefix = destinations.prefix;
  if (!first.collective.empty()) out.names.collective = first.collective;
  out.names.other_collective = flags.other_collective;
  for (const auto& [role, config] : configs) {
    const auto given = flags.roles.find(role);
    std::string name = given == flags.roles.end() ? "" : given->second.name;
    ORCH_ASSIGN_OR_RETURN(out.credentials[role], Load(role, config, &name));
    if (name.empty()) continue;
    if (role == CHECK_ROLE_NODE) out.names.node = name;
    if (role == CHECK_ROLE_CONTROLLER) out.names.controller = name;
  }
  ORCH_RETURN_IF_ERROR(CheckTheNames(out.names));
  return out;
}

void Print(const BrokerCheck& check, const std::string& output) {
  if (output != "json") {
    std::cout << CheckTable(check) << std::flush;
    return;
  }
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  ORCH_CHECK(google::protobuf::util::MessageToJsonString(check, &json, options).ok());
  std::cout << json << std::flush;
}

}  // namespace

CLI::App* AddCheckCommand(CLI::App* app, CheckFlags* flags) {
  CLI::App* check = app->add_subcommand(
      "check", "try every permitted and every forbidden verb on a broker, as each role");
  const auto text = [check](const std::string& name, std::string* value, const std::string& help,
                            const char* type) {
    return check->add_option(name, *value, help)->type_name(type);
  };
  text("--broker", &flags->broker, "the broker", "HOST:PORT");
  text("--flavour", &flags->flavour, "which kind it is", "FLAVOUR")
      ->check(CLI::IsMember({"embedded", "activemq", "rabbitmq"}));
  text("--prefix", &flags->prefix, "destinations begin with it; default orch", "WORD");
  text("--collective", &flags->collective, "the collective of these credentials; default main",
       "NAME");
  text("--other-collective", &flags->other_collective, "one that they must not reach", "NAME");
  text("--ca", &flags->ca, "the CA of the broker's certificate", "FILE");
  text("--crl", &flags->crl, "the CA's revocation lists", "FILE");
  text("--server-name", &flags->server_name, "the name in the broker's certificate", "NAME");
  text("--virtual-host", &flags->virtual_host, "STOMP virtual host", "NAME");
  check->add_flag("--plaintext", flags->plaintext, "No TLS");
  text("--timeout", &flags->timeout, "how long an answer may take; default 5s", "DURATION");
  text("-o,--output", &flags->output, "table or json", "FORMAT")
      ->check(CLI::IsMember({"table", "json"}));
  for (const CheckRole role : {CHECK_ROLE_NODE, CHECK_ROLE_CONTROLLER, CHECK_ROLE_STRANGER}) {
    CheckRoleFlags* of = &flags->roles[role];
    const std::string word = RoleWord(role), group = absl::StrCat("As a ", word);
    text("--" + word + "-cert", &of->cert, "certificate", "FILE")->group(group);
    text("--" + word + "-key", &of->key, "private key", "FILE")->group(group);
    text("--" + word + "-login", &of->login, "STOMP login", "NAME")->group(group);
    text("--" + word + "-passcode-file", &of->passcode_file, "its passcode", "FILE")->group(group);
    if (role == CHECK_ROLE_STRANGER) continue;
    text("--" + word + "-config", &of->config, "all of these, as its configuration has them",
         "FILE")
        ->group(group);
    text("--" + word, &of->name, "its identity; default the certificate's or the login", "NAME")
        ->group(group);
  }
  return check;
}

int RunCheckCommand(const CheckFlags& flags) {
  absl::StatusOr<Prepared> prepared = Prepare(flags);
  if (!prepared.ok()) {
    std::cerr << "orch-broker check: " << prepared.status().message() << std::endl;
    return kExitUsage;
  }
  const size_t roles = prepared->credentials.size();
  const bool witnesses = prepared->credentials.count(CHECK_ROLE_NODE) > 0 &&
                         prepared->credentials.count(CHECK_ROLE_CONTROLLER) > 0;
  base::asio::io_context io(1);
  const base::Strand strand = base::asio::make_strand(io);
  BrokerCheck check;
  absl::Status ended;
  base::asio::co_spawn(
      strand,
      RunCheck(strand, prepared->broker, prepared->names, std::move(prepared->credentials), &check),
      [&ended](const std::exception_ptr& thrown, absl::Status status) {
        if (thrown) std::rethrow_exception(thrown);
        ended = std::move(status);
      });
  io.run();
  if (ended.ok() || check.rows_size() > static_cast<int>(roles)) Print(check, flags.output);
  if (!ended.ok()) {
    std::cerr << "orch-broker check: " << ended.message() << std::endl;
    return kExitUnreachable;
  }
  std::cerr << "orch-broker check: " << check.rows_size() << " tried on " << check.broker() << ", "
            << check.surprises() << (check.surprises() == 1 ? " surprise" : " surprises");
  if (!witnesses) {
    std::cerr << "; only the broker's word was taken for it, because without the credentials of a "
                 "node and of a controller nobody sees what comes through";
  }
  std::cerr << std::endl;
  return check.surprises() == 0 ? 0 : kExitSurprise;
}

}  // namespace orch::bus
