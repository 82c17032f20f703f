// SPDX-License-Identifier: Apache-2.0
#include "bus/http/http.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace orch::bus {
namespace {

using boost::asio::ip::tcp;

class HttpTest : public ::testing::Test {
 protected:
  HttpTest() {
    HttpSources sources;
    sources.readiness = [this](auto done) { done(Readiness{missing_}); };
    sources.metrics = [](auto done) { done("orch_up 1\n"); };
    auto server = HttpServer::Start(&io_, "127.0.0.1:0", std::move(sources));
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    thread_ = std::thread([this] { io_.run(); });
  }
  ~HttpTest() override {
    server_->Stop();
    thread_.join();  // nothing is left to do
  }

  tcp::socket Connect() {
    tcp::socket socket(client_io_);
    int port = 0;
    EXPECT_TRUE(
        absl::SimpleAtoi(server_->address().substr(server_->address().rfind(':') + 1), &port));
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port)});
    return socket;
  }
  // Everything that comes back until the connection ends.
  std::string Send(const std::string& bytes) {
    tcp::socket socket = Connect();
    boost::system::error_code error;
    boost::asio::write(socket, boost::asio::buffer(bytes), error);
    std::string out;
    boost::asio::read(socket, boost::asio::dynamic_buffer(out), error);
    return out;
  }
  std::string Get(const std::string& path, const std::string& verb = "GET") {
    return Send(absl::StrCat(verb, " ", path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
  }

  std::vector<std::string> missing_;
  boost::asio::io_context io_, client_io_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

TEST_F(HttpTest, IsAlive) {
  const std::string answer = Get("/livez");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\nok\n")) << answer;
}

TEST_F(HttpTest, SaysWhatIsMissing) {
  EXPECT_TRUE(absl::StartsWith(Get("/readyz?verbose"), "HTTP/1.1 200 "));
  missing_ = {"bus: not connected", "store: can't be written"};
  const std::string answer = Get("/readyz");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 503 ")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "not ready\nbus: not connected\nstore: can't be written\n"));
}

TEST_F(HttpTest, TellsMetrics) {
  const std::string answer = Get("/metrics");
  EXPECT_TRUE(absl::StrContains(answer, "Content-Type: text/plain; version=0.0.4; charset=utf-8"))
      << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "\norch_up 1\n"));
}

TEST_F(HttpTest, HeadHasNoBody) {
  const std::string answer = Get("/livez", "HEAD");
  EXPECT_TRUE(absl::StartsWith(answer, "HTTP/1.1 200 ")) << answer;
  EXPECT_TRUE(absl::StrContains(answer, "Content-Length: 3\r\n")) << answer;
  EXPECT_TRUE(absl::EndsWith(answer, "\r\n\r\n"));
}

TEST_F(HttpTest, KeepsConnections) {
  const std::string answer = Send(
      "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(answer.find("HTTP/1.1 200"), 0u);
  EXPECT_NE(answer.find("HTTP/1.1 200", 1), std::string::npos) << answer;
}

TEST_F(HttpTest, RefusesWhatItDoesNotServe) {
  EXPECT_TRUE(absl::StartsWith(Get("/"), "HTTP/1.1 404 "));
  EXPECT_TRUE(absl::StartsWith(Get("/livez/../etc/passwd"), "HTTP/1.1 404 "));
  EXPECT_TRUE(absl::StartsWith(Get("/livez", "DELETE"), "HTTP/1.1 405 "));
  EXPECT_TRUE(absl::StartsWith(Send("nonsense\r\n\r\n"), "HTTP/1.1 400 "));
  EXPECT_TRUE(absl::StartsWith(
      Send("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n"), "HTTP/1.1 4"));
  const std::string endless =
      Send(absl::StrCat("GET /livez HTTP/1.1\r\nX: ", std::string(100000, 'x')));
  EXPECT_TRUE(endless.empty() || absl::StartsWith(endless, "HTTP/1.1 400 ")) << endless;
  EXPECT_TRUE(absl::StartsWith(Get("/livez"), "HTTP/1.1 200 ")) << "and goes on serving";
}

// Whoever says nothing, or nothing more, makes room for those who ask.
TEST_F(HttpTest, IdleConnectionsKeepNobodyOut) {
  const std::string request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
  std::vector<tcp::socket> open;
  char first;
  for (int i = 0; i < HttpServer::kConnectionsMax; ++i) {
    open.push_back(Connect());
    if (i % 2 == 0) continue;
    boost::asio::write(open.back(), boost::asio::buffer(request));
    boost::asio::read(open.back(), boost::asio::buffer(&first, 1));
  }
  for (int i = 0; i < HttpServer::kConnectionsMax + 9; ++i) {
    ASSERT_TRUE(absl::StartsWith(Get("/livez"), "HTTP/1.1 200 ")) << i;
  }
  boost::system::error_code error;
  boost::asio::read(open.front(), boost::asio::buffer(&first, 1), error);
  EXPECT_TRUE(error) << "the oldest was closed";
}

TEST_F(HttpTest, ABusyAddressIsNamed) {
  const auto second = HttpServer::Start(&io_, server_->address(), {});
  EXPECT_EQ(second.status().message(),
            absl::StrCat("listen ", server_->address(), ": Address already in use"));
}

}  // namespace
}  // namespace orch::bus
