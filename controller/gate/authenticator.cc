// SPDX-License-Identifier: Apache-2.0
#include "controller/gate/authenticator.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "controller/gate/gate_errors.h"

namespace orch::controller {
namespace {

constexpr char kInsecureCaller[] = "local=insecure";

}  // namespace

CertificateAuthenticator::CertificateAuthenticator(std::shared_ptr<trust::Credentials> credentials,
                                                   std::vector<trust::Role> roles,
                                                   bool insecure_loopback, const base::Clock* clock)
    : credentials_(std::move(credentials)),
      roles_(std::move(roles)),
      insecure_loopback_(insecure_loopback),
      clock_(clock) {
  ORCH_CHECK(insecure_loopback_ || credentials_ != nullptr);
}

absl::StatusOr<Caller> CertificateAuthenticator::Identify(const CallerEvidence& who) const {
  Caller caller{.principal = kInsecureCaller, .certificate_serial = "", .peer = who.peer};
  if (!who.known) return Unauthenticated("the connection of this call is gone");
  if (insecure_loopback_) return caller;
  if (who.certificate_pem.empty()) return Unauthenticated("a client certificate is needed");
  const absl::StatusOr<trust::Peer> peer =
      credentials_->VerifyPeerPem(who.certificate_pem, clock_->Read().wall);
  if (!peer.ok()) return Unauthenticated(peer.status().message());
  if (std::find(roles_.begin(), roles_.end(), peer->role) == roles_.end()) {
    return Unauthenticated(absl::StrCat("the certificate of ", peer->common_name, " has the role ",
                                        std::string(trust::RoleName(peer->role)),
                                        ", which may not call"));
  }
  caller.principal = absl::StrCat("cert=", peer->common_name);
  caller.certificate_serial = peer->serial;
  return caller;
}

}  // namespace orch::controller
