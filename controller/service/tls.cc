// SPDX-License-Identifier: Apache-2.0
#include "controller/service/tls.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/log.h"
#include "base/status.h"

namespace orch::controller {

std::string JoinChain(absl::string_view leaf, absl::string_view chain) {
  return absl::StartsWith(chain, leaf) ? std::string(chain) : absl::StrCat(leaf, chain);
}

namespace {

// Decides on each handshake, on gRPC's threads.
class RoleVerifier : public grpc::experimental::ExternalCertificateVerifier {
 public:
  RoleVerifier(std::shared_ptr<trust::Credentials> credentials, std::vector<trust::Role> roles,
               std::atomic<uint64_t>* refused)
      : credentials_(std::move(credentials)), roles_(std::move(roles)), refused_(refused) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)>, grpc::Status* sync_status) override {
    const grpc::string_ref leaf = request->peer_cert();
    const grpc::string_ref chain = request->peer_cert_full_chain();
    const absl::Status verdict =
        Judge(JoinChain({leaf.data(), leaf.size()}, {chain.data(), chain.size()}));
    if (!verdict.ok()) {
      ++*refused_;
      LogRefusal(verdict);
      *sync_status =
          grpc::Status(grpc::StatusCode::UNAUTHENTICATED, std::string(verdict.message()));
    }
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest*) override {}

 private:
  absl::Status Judge(const std::string& chain) const {
    const absl::StatusOr<trust::Peer> peer = credentials_->VerifyPeerPem(chain, absl::Now());
    if (!peer.ok()) return peer.status();
    if (std::find(roles_.begin(), roles_.end(), peer->role) != roles_.end()) {
      return absl::OkStatus();
    }
    const absl::string_view role = trust::RoleName(peer->role);
    return absl::UnauthenticatedError(
        absl::StrCat("CN=", peer->common_name, " has the role ", role, ", which may not call"));
  }

  // At most one line a minute, whatever knocks.
  void LogRefusal(const absl::Status& why) {
    const int64_t now = absl::ToUnixSeconds(absl::Now());
    int64_t next = next_log_seconds_;
    if (now < next || !next_log_seconds_.compare_exchange_strong(next, now + 60)) return;
    base::LogWarning("grpc handshake refused",
                     {{"why", std::string(why.message())}, {"refused_so_far", refused_->load()}});
  }

  const std::shared_ptr<trust::Credentials> credentials_;
  const std::vector<trust::Role> roles_;
  std::atomic<uint64_t>* const refused_;
  std::atomic<int64_t> next_log_seconds_{0};
};

}  // namespace

// A file without a name, for the one API that wants a path.
class ServerTls::MemoryFile {
 public:
  explicit MemoryFile(const char* name) : descriptor_(memfd_create(name, MFD_CLOEXEC)) {}
  ~MemoryFile() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  std::string path() const { return absl::StrCat("/proc/self/fd/", descriptor_); }

  absl::Status Write(absl::string_view content) {
    if (descriptor_ < 0) {
      return absl::UnavailableError(absl::StrCat("memfd_create: ", strerror(errno)));
    }
    if (content == content_) return absl::OkStatus();
    const ssize_t written = pwrite(descriptor_, content.data(), content.size(), 0);
    if (written != static_cast<ssize_t>(content.size()) ||
        ftruncate(descriptor_, static_cast<off_t>(content.size())) != 0) {
      return absl::UnavailableError(absl::StrCat("write to a memfd: ", strerror(errno)));
    }
    content_ = std::string(content);
    return absl::OkStatus();
  }

 private:
  const int descriptor_;
  std::string content_;
};

ServerTls::~ServerTls() = default;

absl::Status ServerTls::Update() {
  ORCH_RETURN_IF_ERROR(ca_->Write(identity_->ca_pem()));
  ORCH_RETURN_IF_ERROR(key_->Write(identity_->private_key_pem()));
  return chain_->Write(identity_->certificate_chain_pem());
}

absl::StatusOr<std::unique_ptr<ServerTls>> ServerTls::Make(
    std::shared_ptr<trust::Credentials> credentials, std::vector<trust::Role> roles,
    std::atomic<uint64_t>* refused) {
  namespace tls = grpc::experimental;
  std::unique_ptr<ServerTls> out(new ServerTls);
  out->identity_ = credentials;
  out->key_ = std::make_unique<MemoryFile>("orch-key");
  out->chain_ = std::make_unique<MemoryFile>("orch-chain");
  out->ca_ = std::make_unique<MemoryFile>("orch-ca");
  ORCH_RETURN_IF_ERROR(out->Update());
  auto files = std::make_shared<tls::FileWatcherCertificateProvider>(
      out->key_->path(), out->chain_->path(), out->ca_->path(), kPollSeconds);
  tls::TlsServerCredentialsOptions options(files);
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.set_check_call_host(false);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<RoleVerifier>(
      std::move(credentials), std::move(roles), refused));
  out->server_credentials_ = tls::TlsServerCredentials(options);
  return out;
}

}  // namespace orch::controller
