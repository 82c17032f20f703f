// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "base/strand.h"
#include "bus/broker/broker.h"
#include "bus/client/client.h"
#include "bus/http/http.h"
#include "controller/audit/audit_store.h"
#include "controller/config.pb.h"
#include "controller/dispatcher/dispatcher.h"
#include "controller/gate/gate.h"
#include "controller/policy_source.h"
#include "controller/puppetdb/puppetdb.h"
#include "controller/service/service.h"
#include "trust/identity.h"

namespace orch::controller {

// What a controller is told before it opens anything that others could notice: the configuration,
// and every file that it names.
struct Inputs {
  ControllerConfig config;
  std::shared_ptr<trust::Credentials> credentials;           // certificate, key, CA, CRL
  std::shared_ptr<trust::Credentials> puppetdb_credentials;  // null: the same, or no TLS
  std::unique_ptr<PolicySource> policy_source;
  std::shared_ptr<const policy::Policy> policy;
};

// Reads and checks all inputs; `--check-config` does this and no more. Errors name the file.
absl::StatusOr<Inputs> ReadInputs(const std::string& config_path);

// What a controller is made of, in the order in which it is made; it ends in the opposite order.
// The context's threads run only between Open and the end.
struct Parts {
  explicit Parts(Inputs in) : inputs(std::move(in)) {}

  Inputs inputs;
  boost::asio::io_context io;
  std::shared_ptr<AuditStore> audit;       // audit.jsonl, on its own thread
  std::unique_ptr<bus::Broker> broker;     // null where brokers run elsewhere
  std::unique_ptr<bus::Client> bus;        // to that broker through memory, or to others
  std::shared_ptr<Dispatcher> dispatcher;  // jobs, roster, orch.db
  std::shared_ptr<PuppetDb> puppetdb;      // null where none is configured
  std::shared_ptr<Gate> gate;              // who may
  std::unique_ptr<Services> services;      // gRPC
  std::unique_ptr<bus::HttpServer> http;   // null if switched off

  base::Strand broker_strand{io.get_executor()};
  base::Strand bus_strand{io.get_executor()};
  base::Strand dispatcher_strand{io.get_executor()};
  base::Strand gate_strand{io.get_executor()};
};

// Opens the files and binds the addresses; nothing is taken or sent yet. Errors are one sentence.
absl::Status Open(Parts* parts, bus::HttpSources sources);

}  // namespace orch::controller
