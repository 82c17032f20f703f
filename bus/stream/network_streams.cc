// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "base/asio.h"
#include "base/status.h"
#include "bus/stomp/address.h"
#include "bus/stream/socket_stream.h"
#include "bus/stream/stream.h"

namespace orch::bus {
namespace {

using boost::asio::ip::tcp;

// Everything that a TLS context is made from, so that a reload of any of it shows.
std::string Fingerprint(const trust::Credentials& credentials) {
  std::string out = absl::StrCat(credentials.certificate_chain_pem(), credentials.ca_pem());
  for (const auto& [issuer, number] : credentials.CrlNumbers()) {
    absl::StrAppend(&out, issuer, "=", number, ";");
  }
  return out;
}

// Shared by clients on any strands, hence the mutex, which is held for the making of a context at
// most.
class NetworkStreams : public StreamFactory {
 public:
  NetworkStreams(std::shared_ptr<trust::Credentials> credentials, std::string server_name)
      : credentials_(std::move(credentials)), server_name_(std::move(server_name)) {}

  base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Connect(base::Strand strand,
                                                                   std::string address) override {
    base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> opening = Open(strand, address);
    absl::StatusOr<std::unique_ptr<Stream>> stream = co_await std::move(opening);
    if (!stream.ok()) {
      co_return absl::UnavailableError(
          absl::StrCat("connect ", address, ": ", stream.status().message()));
    }
    co_return std::move(stream);
  }

 private:
  // One context per name; more names than a list of brokers can have start over.
  static constexpr size_t kContextsMax = 64;

  base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> Open(base::Strand strand,
                                                                std::string text) {
    const absl::StatusOr<Address> address = ParseAddress(text);
    if (!address.ok()) co_return address.status();
    base::Awaitable<absl::StatusOr<tcp::socket>> connecting = ConnectTcp(strand, *address);
    absl::StatusOr<tcp::socket> socket = co_await std::move(connecting);
    if (!socket.ok()) co_return socket.status();
    if (credentials_ == nullptr) co_return NewTcpStream(*std::move(socket));

    const std::string name = server_name_.empty() ? address->host : server_name_;
    absl::StatusOr<std::shared_ptr<SSL_CTX>> context = ContextFor(name);
    if (!context.ok()) co_return context.status();
    base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> handshake =
        ConnectTls(*std::move(socket), *context, name);
    absl::StatusOr<std::unique_ptr<Stream>> stream = co_await std::move(handshake);
    co_return std::move(stream);
  }

  absl::StatusOr<std::shared_ptr<SSL_CTX>> ContextFor(const std::string& name) {
    std::string fingerprint = Fingerprint(*credentials_);
    absl::MutexLock lock(&mutex_);
    if (fingerprint != fingerprint_ || contexts_.size() >= kContextsMax) contexts_.clear();
    fingerprint_ = std::move(fingerprint);
    std::shared_ptr<SSL_CTX>& context = contexts_[name];
    if (context == nullptr) {
      absl::StatusOr<SSL_CTX*> made = credentials_->NewClientContext(name);
      if (!made.ok()) return base::Annotate(made.status(), "TLS");
      context = OwnContext(*made);
    }
    return context;
  }

  const std::shared_ptr<trust::Credentials> credentials_;
  const std::string server_name_;
  absl::Mutex mutex_;
  std::string fingerprint_;  // of what contexts_ are made from
  std::map<std::string, std::shared_ptr<SSL_CTX>> contexts_;
};

}  // namespace

std::shared_ptr<StreamFactory> NewNetworkStreams(std::shared_ptr<trust::Credentials> credentials,
                                                 std::string server_name) {
  return std::make_shared<NetworkStreams>(std::move(credentials), std::move(server_name));
}

}  // namespace orch::bus
