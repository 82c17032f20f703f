// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/asio.h"
#include "bus/stream/stream.h"
#include "controller/puppetdb/pql.h"
#include "trust/identity.h"

namespace orch::controller {

// Asks PuppetDB which nodes a query names, over TLS with a client certificate, with a connection
// for each query. Answers are not kept: every job asks anew.
//
// Lives on: its strand. PostQuery may be called from anywhere.
class PuppetDb : public std::enable_shared_from_this<PuppetDb> {
 public:
  // How long a query may take, from connecting to the last byte of the answer.
  static constexpr absl::Duration kTimeMax = absl::Seconds(10);
  // The most queries at once; further ones are refused.
  static constexpr int kQueriesMax = 8;

  using Done = std::function<void(absl::StatusOr<std::vector<std::string>>)>;

  // `streams` connect to PuppetDB; `own` are the credentials that they show if nobody else reloads
  // them, or null.
  PuppetDb(base::Strand strand, PuppetDbAddress address,
           std::shared_ptr<bus::StreamFactory> streams, std::shared_ptr<trust::Credentials> own);

  // `done` comes once, on the strand, within kTimeMax or soon after: the nodes as CertnamesIn gives
  // them. Errors: as there; ResourceExhausted TOO_MANY_QUERIES with RetryInfo.
  void PostQuery(std::string pql, Done done);

 private:
  struct Exchange;
  static base::Awaitable<absl::StatusOr<std::vector<std::string>>> Ask(
      std::shared_ptr<PuppetDb> self, std::shared_ptr<Exchange> exchange);
  static base::Awaitable<absl::StatusOr<std::vector<std::string>>> Talk(
      std::shared_ptr<PuppetDb> self, std::shared_ptr<Exchange> exchange);
  static base::Awaitable<void> Run(std::shared_ptr<PuppetDb> self,
                                   std::shared_ptr<Exchange> exchange, Done done);
  std::string RequestFor(const std::string& pql) const;

  const base::Strand strand_;
  const PuppetDbAddress address_;
  const std::shared_ptr<bus::StreamFactory> streams_;
  const std::shared_ptr<trust::Credentials> own_;
  int queries_ = 0;  // under way; on strand_ only
};

}  // namespace orch::controller
