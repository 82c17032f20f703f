// SPDX-License-Identifier: Apache-2.0
// TLS streams against a plain, blocking OpenSSL server in a thread.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "bus/stream/socket_stream.h"
#include "bus/stream/stream.h"
#include "test/testing/loop.h"
#include "test/testing/test_ca.h"

namespace orch::bus {
namespace {

using testing::TestCa;
using trust::Role;

// Serves one connection with `serve(descriptor, ssl)`; without a context no TLS is spoken.
class Server {
 public:
  Server(SSL_CTX* context, std::function<void(int, SSL*)> serve)
      : context_(OwnContext(context)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
    EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, serve = std::move(serve)] { Run(serve); });
  }
  ~Server() {
    shutdown(listener_, SHUT_RDWR);
    thread_.join();
    close(listener_);
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  void Run(const std::function<void(int, SSL*)>& serve) {
    const int fd = accept(listener_, nullptr, nullptr);
    if (fd < 0) return;
    SSL* ssl = nullptr;
    if (context_ != nullptr) {
      ssl = SSL_new(context_.get());
      SSL_set_fd(ssl, fd);
      if (SSL_accept(ssl) == 1) serve(fd, ssl);
      SSL_free(ssl);
    } else {
      serve(fd, nullptr);
    }
    close(fd);
  }

  const std::shared_ptr<SSL_CTX> context_;
  const int listener_;
  uint16_t port_ = 0;
  std::thread thread_;
};

void Echo(int, SSL* ssl) {
  std::string buffer(64 << 10, '\0');
  for (;;) {
    const int n = SSL_read(ssl, buffer.data(), static_cast<int>(buffer.size()));
    if (n <= 0) break;
    if (SSL_write(ssl, buffer.data(), n) != n) break;
  }
  SSL_shutdown(ssl);
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest()
      : broker_(testing::NewCredentials(&ca_, "broker1", Role::kController)),
        node_(testing::NewCredentials(&ca_, "node1", Role::kNode)) {}

  SSL_CTX* ServerContext(const std::shared_ptr<trust::Credentials>& credentials) {
    return *credentials->NewServerContext({Role::kNode, Role::kController});
  }

  // Connects as `credentials` to `address`, expecting a certificate of `name`.
  absl::StatusOr<std::unique_ptr<Stream>> Open(std::shared_ptr<trust::Credentials> credentials,
                                               const std::string& name,
                                               const std::string& address) {
    std::optional<absl::StatusOr<std::unique_ptr<Stream>>> opened;
    auto factory = NewNetworkStreams(std::move(credentials), name);
    base::asio::co_spawn(strand_, factory->Connect(strand_, address),
                         [&](std::exception_ptr, absl::StatusOr<std::unique_ptr<Stream>> s) {
                           opened = std::move(s);
                         });
    EXPECT_TRUE(testing::RunUntil(&io_, [&] { return opened.has_value(); }));
    return *std::move(opened);
  }
  std::string OpenError(std::shared_ptr<trust::Credentials> credentials, const std::string& name,
                        const std::string& address) {
    const absl::Status status = Open(std::move(credentials), name, address).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    return std::string(status.message());
  }

  // Reads until `size` bytes came, or an error, which is appended in brackets.
  std::string ReadAll(Stream* stream, size_t size) {
    std::string all;
    bool done = false;
    base::asio::co_spawn(strand_, Reading(stream, size, &all),
                         [&](std::exception_ptr) { done = true; });
    EXPECT_TRUE(testing::RunUntil(&io_, [&] { return done; }));
    return all;
  }
  static base::Awaitable<void> Reading(Stream* stream, size_t size, std::string* all) {
    std::string buffer(8 << 10, '\0');
    while (all->size() < size) {
      base::Awaitable<absl::StatusOr<size_t>> reading = stream->Read(buffer.data(), buffer.size());
      absl::StatusOr<size_t> n = co_await std::move(reading);
      if (!n.ok()) {
        absl::StrAppend(all, "[", n.status().ToString(), "]");
        break;
      }
      all->append(buffer, 0, *n);
    }
  }
  static base::Awaitable<void> Writing(Stream* stream, std::vector<std::string> parts,
                                       absl::Status* out) {
    std::vector<boost::asio::const_buffer> buffers;
    for (const std::string& part : parts) buffers.push_back(boost::asio::buffer(part));
    base::Awaitable<absl::Status> writing = stream->Write(buffers);
    absl::Status status = co_await std::move(writing);
    *out = status;
  }
  void StartWrite(Stream* stream, std::vector<std::string> parts) {
    base::asio::co_spawn(strand_, Writing(stream, std::move(parts), &written_),
                         base::asio::detached);
  }

  TestCa ca_;
  std::shared_ptr<trust::Credentials> broker_;
  std::shared_ptr<trust::Credentials> node_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  absl::Status written_ = absl::UnknownError("not written");
};

TEST_F(TlsTest, KnowsThePeerAndCarriesBytes) {
  Server server(ServerContext(broker_), Echo);
  auto stream = Open(node_, "broker1", server.address());
  ASSERT_TRUE(stream.ok()) << stream.status();
  ASSERT_TRUE((*stream)->certificate().has_value());
  EXPECT_EQ((*stream)->certificate()->common_name, "broker1");
  EXPECT_EQ((*stream)->peer(), server.address());
  StartWrite(stream->get(), {"he", "", "llo"});
  EXPECT_EQ(ReadAll(stream->get(), 5), "hello");
  EXPECT_TRUE(written_.ok());
}

TEST_F(TlsTest, MegabytesBothWaysAtOnce) {
  Server server(ServerContext(broker_), Echo);
  auto stream = Open(node_, "broker1", server.address());
  ASSERT_TRUE(stream.ok()) << stream.status();
  std::vector<std::string> parts;
  std::string whole;
  for (int i = 0; i < 200; ++i) {
    parts.push_back(std::string(static_cast<size_t>(i) * 400 + 1, static_cast<char>('a' + i % 26)));
    whole += parts.back();
  }
  StartWrite(stream->get(), parts);
  EXPECT_TRUE(ReadAll(stream->get(), whole.size()) == whole);
  EXPECT_TRUE(written_.ok()) << written_;
}

TEST_F(TlsTest, AnOrderlyEndIsOutOfRange) {
  Server server(ServerContext(broker_), [](int, SSL* ssl) {
    SSL_write(ssl, "bye", 3);
    SSL_shutdown(ssl);
  });
  auto stream = Open(node_, "broker1", server.address());
  ASSERT_TRUE(stream.ok()) << stream.status();
  EXPECT_EQ(ReadAll(stream->get(), 1000), "bye[OUT_OF_RANGE: closed by the peer]");
}

TEST_F(TlsTest, ACutConnectionIsUnavailable) {
  Server server(ServerContext(broker_), [](int fd, SSL* ssl) {
    SSL_write(ssl, "by", 2);
    shutdown(fd, SHUT_RDWR);
  });
  auto stream = Open(node_, "broker1", server.address());
  ASSERT_TRUE(stream.ok()) << stream.status();
  const std::string read = ReadAll(stream->get(), 1000);
  EXPECT_TRUE(absl::StartsWith(read, "by[UNAVAILABLE: read: ")) << read;
  // Writing to a peer that is gone is an error, not a signal.
  for (int i = 0; i < 3; ++i) {
    StartWrite(stream->get(), {std::string(100'000, 'x')});
    testing::RunReady(&io_);
  }
  EXPECT_EQ(written_.code(), absl::StatusCode::kUnavailable) << written_;
}

TEST_F(TlsTest, CloseEndsAReadUnderWay) {
  Server server(ServerContext(broker_), Echo);
  auto stream = Open(node_, "broker1", server.address());
  ASSERT_TRUE(stream.ok()) << stream.status();
  std::string all;
  bool done = false;
  base::asio::co_spawn(strand_, Reading(stream->get(), 10, &all),
                       [&](std::exception_ptr) { done = true; });
  testing::RunReady(&io_);
  EXPECT_FALSE(done);
  (*stream)->Close();
  (*stream)->Close();
  ASSERT_TRUE(testing::RunUntil(&io_, [&] { return done; }));
  EXPECT_EQ(all, "[UNAVAILABLE: read: closed]");
}

TEST_F(TlsTest, AnotherNameIsRefused) {
  Server server(ServerContext(broker_), Echo);
  const std::string error = OpenError(node_, "broker2.example.net", server.address());
  EXPECT_TRUE(absl::StartsWith(
      error, "connect " + server.address() + ": TLS handshake: the broker's certificate: "))
      << error;
  EXPECT_TRUE(absl::StrContains(error, "broker2.example.net")) << error;
}

TEST_F(TlsTest, AnotherCaIsRefused) {
  TestCa other("Other CA");
  auto stranger = testing::NewCredentials(&other, "broker1", Role::kController);
  Server server(ServerContext(stranger), Echo);
  const std::string error = OpenError(node_, "broker1", server.address());
  EXPECT_TRUE(absl::StrContains(error, "TLS handshake: the broker's certificate: ")) << error;
}

TEST_F(TlsTest, ABrokerThatRefusesUsIsNamed) {
  TestCa other("Other CA");
  Server server(ServerContext(broker_), Echo);
  auto stranger = testing::NewCredentials(&other, "node1", Role::kNode);
  // It doesn't trust us either way; with TLS 1.3 whoever judges first speaks.
  const std::string error = OpenError(stranger, "broker1", server.address());
  EXPECT_TRUE(absl::StrContains(error, "TLS handshake: ")) << error;
}

TEST_F(TlsTest, WhatIsNotTlsIsRefused) {
  for (const char* hello :
       {"ERROR\nmessage:plain STOMP here\n\n", "\x15\x03\x01\x00\x02\x02\x28", ""}) {
    Server server(nullptr, [hello](int fd, SSL*) {
      char ignored[1000];
      EXPECT_GT(recv(fd, ignored, sizeof ignored, 0), 0);
      send(fd, hello, strlen(hello), MSG_NOSIGNAL);
    });
    const std::string error = OpenError(node_, "broker1", server.address());
    EXPECT_TRUE(absl::StartsWith(error, "connect " + server.address() + ": TLS handshake: "))
        << error;
  }
}

TEST_F(TlsTest, TheNameOfTheAddressIsTheDefault) {
  // Certificates of TestCa are also for 127.0.0.1.
  Server server(ServerContext(broker_), Echo);
  auto stream = Open(node_, "", server.address());
  EXPECT_TRUE(stream.ok()) << stream.status();
}

TEST_F(TlsTest, ReloadedCredentialsAreUsedForTheNextConnection) {
  const std::string directory = testing::NewTestDirectory();
  const trust::TrustConfig config = testing::WriteTrust(&ca_, "node1", Role::kNode, directory);
  std::shared_ptr<trust::Credentials> node = *trust::Credentials::Load(config, absl::Now());
  auto factory = NewNetworkStreams(node, "broker1");
  std::vector<std::string> serials;
  for (const bool reload : {false, false, true}) {
    if (reload) {
      testing::WriteTrust(&ca_, "node1", Role::kNode, directory);
      ASSERT_TRUE(node->Reload(absl::Now()).ok());
    }
    std::string serial = "none";
    {
      Server server(ServerContext(broker_), [&serial](int, SSL* ssl) {
        absl::StatusOr<trust::Peer> peer = trust::PeerOf(ssl);
        if (peer.ok()) serial = peer->serial;
        SSL_shutdown(ssl);
      });
      std::unique_ptr<Stream> stream;
      base::asio::co_spawn(strand_, factory->Connect(strand_, server.address()),
                           [&](std::exception_ptr, absl::StatusOr<std::unique_ptr<Stream>> s) {
                             ASSERT_TRUE(s.ok()) << s.status();
                             stream = *std::move(s);
                           });
      ASSERT_TRUE(testing::RunUntil(&io_, [&] { return stream != nullptr; }));
      ReadAll(stream.get(), 1);
    }
    serials.push_back(serial);
  }
  EXPECT_NE(serials[0], "none");
  EXPECT_EQ(serials[0], serials[1]);
  EXPECT_NE(serials[1], serials[2]);
}

}  // namespace
}  // namespace orch::bus
