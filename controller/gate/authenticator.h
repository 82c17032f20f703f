// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "trust/identity.h"

namespace orch::controller {

// What a connection shows of its other end.
struct CallerEvidence {
  std::string certificate_pem;  // the chain, leaf first; empty without TLS
  std::string peer;             // `address:port`
  bool known = true;            // false: the connection is gone, nobody may act for it
};

// An authenticated principal.
struct Caller {
  std::string principal;           // `cert=operator`
  std::string certificate_serial;  // empty without TLS
  std::string peer;
};

// Finds out who calls from what the connection shows. The gate asks it for each call before
// anything else, so what is revoked between two calls counts for the second; what comes back is who
// acts, whatever it took to find out: a certificate, and one day a token or a schedule.
//
// Lives on: the gate's strand; `done` may come from any thread, once, perhaps at once.
class Authenticator {
 public:
  using Done = std::function<void(absl::StatusOr<Caller>)>;

  virtual ~Authenticator() = default;
  // Unauthenticated, with why: nobody who may call.
  virtual void Authenticate(CallerEvidence who, Done done) = 0;
};

// Who a certificate says it is, as `cert=<common name>`, if its role may call. Without TLS, on
// loopback alone, everybody is `local=insecure`.
class CertificateAuthenticator : public Authenticator {
 public:
  // `credentials` may be null only with `insecure_loopback`.
  CertificateAuthenticator(std::shared_ptr<trust::Credentials> credentials,
                           std::vector<trust::Role> roles, bool insecure_loopback,
                           const base::Clock* clock);
  void Authenticate(CallerEvidence who, Done done) override { done(Identify(who)); }

 private:
  absl::StatusOr<Caller> Identify(const CallerEvidence& who) const;

  const std::shared_ptr<trust::Credentials> credentials_;
  const std::vector<trust::Role> roles_;
  const bool insecure_loopback_;
  const base::Clock* const clock_;
};

}  // namespace orch::controller
