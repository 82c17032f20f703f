// SPDX-License-Identifier: Apache-2.0

// OpenSSL works directly on the non-blocking socket and Asio only waits for it, so that an idle
// connection holds no buffers of ours, which lets one process hold thousands (Asio's own
// ssl::stream keeps some 70 KB for each). A read waits for the socket before it asks OpenSSL,
// unless a record lies there already: a peer that floods would else never let the strand go. After
// a fatal error OpenSSL forbids a shutdown on the same object; broken_ remembers that.

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/asio.h"
#include "base/status.h"
#include "bus/stream/socket_stream.h"
#include "trust/identity.h"

namespace orch::bus {
namespace {

using boost::asio::ip::tcp;

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};
using SslPtr = std::unique_ptr<SSL, FreeSsl>;

// A BIO over a descriptor, as OpenSSL's own, but with MSG_NOSIGNAL: a peer that is gone must not
// send us SIGPIPE.
int DescriptorOf(BIO* bio) {
  return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

bool IsRetry(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int BioWrite(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = send(DescriptorOf(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL);
  if (n < 0 && IsRetry(errno)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

int BioRead(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = recv(DescriptorOf(bio), data, static_cast<size_t>(size), 0);
  if (n < 0 && IsRetry(errno)) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

long BioControl(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BIO* NewSocketBio(int descriptor) {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "orch socket");
    ORCH_CHECK(made != nullptr);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  BIO* bio = BIO_new(method);
  ORCH_CHECK(bio != nullptr);
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(descriptor)));
  BIO_set_init(bio, 1);
  return bio;
}

// What OpenSSL's last failed call on `ssl` means; a certificate that was not accepted first.
std::string SslErrorText(SSL* ssl, int ssl_error, int system_error) {
  const unsigned long code = ERR_peek_last_error();
  if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const absl::Status judgement = trust::PeerOf(ssl).status();
    const char* whose = SSL_is_server(ssl) ? "the client's" : "the broker's";
    return absl::StrCat(whose, " certificate: ", judgement.message());
  }
  if (code != 0) {
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : absl::StrCat("OpenSSL error ", code);
  }
  if (ssl_error == SSL_ERROR_SYSCALL && system_error != 0) return std::strerror(system_error);
  return "closed by the peer";
}

// Whether OpenSSL's last failed call on a server's `ssl` was about the client's certificate.
bool RefusedThePeer(SSL* ssl) {
  const int reason = ERR_GET_REASON(ERR_peek_last_error());
  return SSL_is_server(ssl) && (reason == SSL_R_CERTIFICATE_VERIFY_FAILED ||
                                reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE);
}

// `argument` is the name that RequireProtocol was given (SSL_CTX_set_alpn_select_cb(3)).
int OnProtocols(SSL*, const unsigned char** out, unsigned char* out_size,
                const unsigned char* offered, unsigned int size, void* argument) {
  const absl::string_view wanted(static_cast<const char*>(argument));
  absl::string_view left(reinterpret_cast<const char*>(offered), size);
  while (!left.empty()) {
    const absl::string_view name = left.substr(1, static_cast<unsigned char>(left[0]));
    if (name == wanted) {
      *out = reinterpret_cast<const unsigned char*>(name.data());
      *out_size = static_cast<unsigned char>(name.size());
      return SSL_TLSEXT_ERR_OK;
    }
    left.remove_prefix(std::min(left.size(), name.size() + 1));
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Lives on: its socket's strand.
class TlsStream : public ServerStream {
 public:
  TlsStream(tcp::socket socket, SslPtr ssl)
      : socket_(std::move(socket)), ssl_(std::move(ssl)), peer_(SetUpSocket(&socket_)) {
    BIO* bio = NewSocketBio(socket_.native_handle());
    SSL_set_bio(ssl_.get(), bio, bio);
    SSL_set_mode(ssl_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
  }
  ~TlsStream() override { Close(); }

  base::Awaitable<absl::Status> Handshake() override {
    for (;;) {
      if (closed_) co_return absl::UnavailableError("TLS handshake: closed");
      ERR_clear_error();
      const int result = SSL_do_handshake(ssl_.get());
      if (result == 1) break;
      base::Awaitable<absl::Status> waiting = Wait("TLS handshake", result, errno);
      absl::Status status = co_await std::move(waiting);
      if (!status.ok()) co_return status;
    }
    established_ = true;
    if (SSL_is_server(ssl_.get())) pem_ = trust::PeerChainPem(ssl_.get());
    // A broker need not have an identity of ours.
    absl::StatusOr<trust::Peer> peer = trust::PeerOf(ssl_.get());
    if (peer.ok()) certificate_ = *std::move(peer);
    co_return absl::OkStatus();
  }

  base::Awaitable<absl::StatusOr<size_t>> Read(char* data, size_t size) override {
    // Waiting first, unless a record is there already, keeps a peer that floods from having the
    // strand for itself.
    if (!closed_ && !SSL_has_pending(ssl_.get())) {
      base::Awaitable<absl::Status> waiting = WaitFor(tcp::socket::wait_read, "read");
      absl::Status status = co_await std::move(waiting);
      if (!status.ok()) co_return status;
    }
    for (;;) {
      if (closed_) co_return absl::UnavailableError("read: closed");
      ERR_clear_error();
      size_t n = 0;
      const int result = SSL_read_ex(ssl_.get(), data, size, &n);
      if (result == 1) co_return n;
      if (SSL_get_error(ssl_.get(), result) == SSL_ERROR_ZERO_RETURN) {
        co_return absl::OutOfRangeError("closed by the peer");
      }
      base::Awaitable<absl::Status> waiting = Wait("read", result, errno);
      absl::Status status = co_await std::move(waiting);
      if (!status.ok()) co_return status;
    }
  }

  base::Awaitable<absl::Status> Write(
      const std::vector<boost::asio::const_buffer>& buffers) override {
    // Small frames share a record.
    constexpr size_t kRecordMax = 16 << 10;
    std::string record;
    for (boost::asio::const_buffer buffer : buffers) {
      while (buffer.size() > 0) {
        const size_t part = std::min(buffer.size(), kRecordMax - record.size());
        record.append(static_cast<const char*>(buffer.data()), part);
        buffer += part;
        if (record.size() < kRecordMax) continue;
        base::Awaitable<absl::Status> writing = WriteAll(record);
        absl::Status status = co_await std::move(writing);
        if (!status.ok()) co_return status;
        record.clear();
      }
    }
    base::Awaitable<absl::Status> writing = WriteAll(record);
    absl::Status status = co_await std::move(writing);
    co_return status;
  }

  void Close() override {
    if (closed_) return;
    closed_ = true;
    // Says goodbye if the kernel takes it at once.
    if (established_ && !broken_) SSL_shutdown(ssl_.get());
    ERR_clear_error();
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

  std::string peer() const override { return peer_; }
  std::optional<trust::Peer> certificate() const override { return certificate_; }
  std::string certificate_pem() const override { return pem_; }
  std::string protocol() const override {
    const unsigned char* name = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &size);
    return std::string(reinterpret_cast<const char*>(name), size);
  }

 private:
  // `data` is the caller's and lives until then.
  base::Awaitable<absl::Status> WriteAll(const std::string& data) {
    size_t done = 0;
    while (done < data.size()) {
      if (closed_) co_return absl::UnavailableError("write: closed");
      ERR_clear_error();
      size_t n = 0;
      const int result = SSL_write_ex(ssl_.get(), data.data() + done, data.size() - done, &n);
      if (result == 1) {
        done += n;
        continue;
      }
      base::Awaitable<absl::Status> waiting = Wait("write", result, errno);
      absl::Status status = co_await std::move(waiting);
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  }

  // After an OpenSSL call that did not succeed: waits for what it wants, or says why it failed.
  base::Awaitable<absl::Status> Wait(const char* what, int result, int system_error) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
      broken_ = true;
      std::string text = absl::StrCat(what, ": ", SslErrorText(ssl_.get(), error, system_error));
      const bool refused = RefusedThePeer(ssl_.get());
      ERR_clear_error();
      if (refused) co_return absl::UnauthenticatedError(text);
      co_return absl::UnavailableError(text);
    }
    base::Awaitable<absl::Status> waiting = WaitFor(
        error == SSL_ERROR_WANT_READ ? tcp::socket::wait_read : tcp::socket::wait_write, what);
    absl::Status status = co_await std::move(waiting);
    co_return status;
  }

  base::Awaitable<absl::Status> WaitFor(tcp::socket::wait_type type, const char* what) {
    std::tuple<boost::system::error_code> result = co_await socket_.async_wait(type, base::kTuple);
    if (std::get<0>(result)) co_return SocketError(what, std::get<0>(result));
    if (closed_) co_return absl::UnavailableError(absl::StrCat(what, ": closed"));
    co_return absl::OkStatus();
  }

  tcp::socket socket_;
  SslPtr ssl_;
  const std::string peer_;
  std::optional<trust::Peer> certificate_;
  std::string pem_;  // a server's peer's
  bool established_ = false;
  bool broken_ = false;  // after an error of its own OpenSSL may not be asked to shut down
  bool closed_ = false;
};

bool IsIpAddress(const std::string& host) {
  in6_addr v6;
  in_addr v4;
  return inet_pton(AF_INET, host.c_str(), &v4) == 1 || inet_pton(AF_INET6, host.c_str(), &v6) == 1;
}

}  // namespace

base::Awaitable<absl::StatusOr<std::unique_ptr<Stream>>> ConnectTls(
    tcp::socket socket, std::shared_ptr<SSL_CTX> context, std::string server_name) {
  SslPtr ssl(SSL_new(context.get()));
  if (ssl == nullptr) co_return absl::UnavailableError("TLS handshake: out of memory");
  SSL_set_connect_state(ssl.get());
  if (!IsIpAddress(server_name)) SSL_set_tlsext_host_name(ssl.get(), server_name.c_str());
  auto stream = std::make_unique<TlsStream>(std::move(socket), std::move(ssl));
  base::Awaitable<absl::Status> shaking = stream->Handshake();
  absl::Status shaken = co_await std::move(shaking);
  if (!shaken.ok()) co_return shaken;
  co_return std::unique_ptr<Stream>(std::move(stream));
}

std::unique_ptr<ServerStream> NewTlsServerStream(tcp::socket socket,
                                                 std::shared_ptr<SSL_CTX> context) {
  SslPtr ssl(SSL_new(context.get()));
  ORCH_CHECK(ssl != nullptr);
  SSL_set_accept_state(ssl.get());
  // One recv(2) for a record in place of two.
  SSL_set_read_ahead(ssl.get(), 1);
  return std::make_unique<TlsStream>(std::move(socket), std::move(ssl));
}

void RequireProtocol(SSL_CTX* context, const char* name) {
  SSL_CTX_set_alpn_select_cb(context, OnProtocols, const_cast<char*>(name));
}

std::shared_ptr<SSL_CTX> OwnContext(SSL_CTX* context) {
  return std::shared_ptr<SSL_CTX>(context, [](SSL_CTX* owned) { SSL_CTX_free(owned); });
}

}  // namespace orch::bus
