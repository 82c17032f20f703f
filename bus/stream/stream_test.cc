// SPDX-License-Identifier: Apache-2.0
#include "bus/stream/stream.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/asio.h"
#include "bus/stream/socket_stream.h"
#include "test/testing/loop.h"

namespace orch::bus {
namespace {

using boost::asio::ip::tcp;
using Opened = absl::StatusOr<std::unique_ptr<Stream>>;

// Runs an awaitable to its end.
template <typename T>
class Pending {
 public:
  Pending(base::asio::io_context* io, base::Strand strand, base::Awaitable<T> operation) : io_(io) {
    base::asio::co_spawn(strand, Keep(std::move(operation), result_), base::asio::detached);
  }
  bool done() const { return result_->has_value(); }
  // Fails the test, and crashes, if it takes longer than ten seconds.
  T Get() {
    EXPECT_TRUE(testing::RunUntil(io_, [this] { return done(); }));
    return std::move(**result_);
  }

 private:
  using Result = std::shared_ptr<std::optional<T>>;
  static base::Awaitable<void> Keep(base::Awaitable<T> operation, Result result) {
    T value = co_await std::move(operation);
    result->emplace(std::move(value));
  }
  base::asio::io_context* const io_;
  const Result result_ = std::make_shared<std::optional<T>>();
};

class StreamTest : public ::testing::Test {
 protected:
  template <typename T>
  Pending<T> Begin(base::Awaitable<T> operation) {
    return Pending<T>(&io_, strand_, std::move(operation));
  }
  static base::Awaitable<absl::Status> WriteParts(Stream* stream, std::vector<std::string> parts) {
    std::vector<boost::asio::const_buffer> buffers;
    for (const std::string& part : parts) buffers.push_back(boost::asio::buffer(part));
    base::Awaitable<absl::Status> writing = stream->Write(buffers);
    absl::Status status = co_await std::move(writing);
    co_return status;
  }
  // One read of at most `size` bytes; what came, or the error in brackets.
  static base::Awaitable<std::string> ReadOnce(Stream* stream, size_t size) {
    std::string buffer(size, '\0');
    base::Awaitable<absl::StatusOr<size_t>> reading = stream->Read(buffer.data(), size);
    absl::StatusOr<size_t> n = co_await std::move(reading);
    if (!n.ok()) co_return absl::StrCat("[", n.status().ToString(), "]");
    co_return buffer.substr(0, *n);
  }
  // Until `size` bytes have come.
  static base::Awaitable<std::string> ReadAll(Stream* stream, size_t size) {
    std::string all;
    while (all.size() < size) {
      base::Awaitable<std::string> reading = ReadOnce(stream, 5000);
      std::string part = co_await std::move(reading);
      all += part;
      if (absl::StartsWith(part, "[")) break;
    }
    co_return all;
  }

  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
};

class MemoryStreamTest : public StreamTest {
 protected:
  void Make(size_t capacity) {
    std::tie(one_, two_) = NewMemoryStreams(strand_, base::Strand(io_.get_executor()), capacity);
  }
  std::unique_ptr<Stream> one_, two_;
};

TEST_F(MemoryStreamTest, CarriesBytesInOrderBothWays) {
  Make(100);
  EXPECT_TRUE(Begin(WriteParts(one_.get(), {"he", "", "llo"})).Get().ok());
  EXPECT_TRUE(Begin(WriteParts(two_.get(), {"back"})).Get().ok());
  EXPECT_EQ(Begin(ReadAll(two_.get(), 5)).Get(), "hello");
  EXPECT_EQ(Begin(ReadOnce(one_.get(), 2)).Get(), "ba");
  EXPECT_EQ(Begin(ReadOnce(one_.get(), 100)).Get(), "ck");
  EXPECT_EQ(one_->peer(), "memory");
  EXPECT_FALSE(one_->certificate().has_value());
}

TEST_F(MemoryStreamTest, AReaderWaitsForAWriter) {
  Make(100);
  auto reading = Begin(ReadOnce(one_.get(), 10));
  testing::RunReady(&io_);
  EXPECT_FALSE(reading.done());
  EXPECT_TRUE(Begin(WriteParts(two_.get(), {"x"})).Get().ok());
  EXPECT_EQ(reading.Get(), "x");
}

TEST_F(MemoryStreamTest, AFullStreamHoldsTheWriterBack) {
  Make(8);
  const std::string large(1000, 'x');
  auto writing = Begin(WriteParts(one_.get(), {large}));
  testing::RunReady(&io_);
  EXPECT_FALSE(writing.done());
  EXPECT_EQ(Begin(ReadOnce(two_.get(), 100)).Get(), std::string(8, 'x')) << "the capacity";
  EXPECT_EQ(Begin(ReadAll(two_.get(), 992)).Get().size(), 992u);
  EXPECT_TRUE(writing.Get().ok());
}

TEST_F(MemoryStreamTest, WhatWasWrittenIsReadBeforeTheEnd) {
  Make(100);
  EXPECT_TRUE(Begin(WriteParts(one_.get(), {"last"})).Get().ok());
  one_.reset();
  EXPECT_EQ(Begin(ReadOnce(two_.get(), 100)).Get(), "last");
  EXPECT_TRUE(absl::StartsWith(Begin(ReadOnce(two_.get(), 100)).Get(), "[OUT_OF_RANGE"));
  EXPECT_EQ(Begin(WriteParts(two_.get(), {"x"})).Get().code(), absl::StatusCode::kUnavailable);
}

TEST_F(MemoryStreamTest, CloseEndsWhatIsUnderWayOnBothSides) {
  Make(4);
  auto mine = Begin(ReadOnce(one_.get(), 10));
  auto writing = Begin(WriteParts(one_.get(), {"more than fits"}));
  testing::RunReady(&io_);
  one_->Close();
  one_->Close();
  EXPECT_TRUE(absl::StartsWith(mine.Get(), "[UNAVAILABLE"));
  EXPECT_EQ(writing.Get().code(), absl::StatusCode::kUnavailable);

  Make(4);
  auto theirs = Begin(WriteParts(two_.get(), {"more than fits"}));
  testing::RunReady(&io_);
  one_->Close();
  EXPECT_EQ(theirs.Get().code(), absl::StatusCode::kUnavailable);
}

class TcpStreamTest : public StreamTest {
 protected:
  TcpStreamTest() : acceptor_(io_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)) {
    address_ = absl::StrCat("127.0.0.1:", acceptor_.local_endpoint().port());
  }
  base::Awaitable<std::unique_ptr<Stream>> Accept() {
    tcp::socket socket(strand_);
    co_await acceptor_.async_accept(socket, base::asio::use_awaitable);
    co_return NewTcpStream(std::move(socket));
  }
  void ConnectBoth() {
    auto accepting = Begin(Accept());
    Opened opened = Begin(factory_->Connect(strand_, address_)).Get();
    ASSERT_TRUE(opened.ok()) << opened.status();
    client_ = *std::move(opened);
    server_ = accepting.Get();
  }
  std::string ConnectError(const std::string& address) {
    const Opened opened = Begin(factory_->Connect(strand_, address)).Get();
    EXPECT_EQ(opened.status().code(), absl::StatusCode::kUnavailable);
    return std::string(opened.status().message());
  }

  tcp::acceptor acceptor_;
  std::string address_;
  std::shared_ptr<StreamFactory> factory_ = NewNetworkStreams(nullptr, "");
  std::unique_ptr<Stream> client_, server_;
};

TEST_F(TcpStreamTest, CarriesBytesBothWays) {
  ConnectBoth();
  EXPECT_EQ(client_->peer(), address_);
  EXPECT_FALSE(client_->certificate().has_value());
  EXPECT_TRUE(Begin(WriteParts(client_.get(), {"he", "llo"})).Get().ok());
  EXPECT_EQ(Begin(ReadAll(server_.get(), 5)).Get(), "hello");
  EXPECT_TRUE(Begin(WriteParts(server_.get(), {"back"})).Get().ok());
  EXPECT_EQ(Begin(ReadAll(client_.get(), 4)).Get(), "back");
}

TEST_F(TcpStreamTest, MoreThanTheKernelTakesAtOnceIsStillWhole) {
  ConnectBoth();
  std::vector<std::string> parts;
  std::string whole;
  for (int i = 0; i < 300; ++i) {
    parts.push_back(std::string(50'000, static_cast<char>('a' + i % 26)));
    whole += parts.back();
  }
  auto writing = Begin(WriteParts(client_.get(), parts));
  testing::RunReady(&io_);
  EXPECT_FALSE(writing.done());
  EXPECT_TRUE(Begin(ReadAll(server_.get(), whole.size())).Get() == whole);
  EXPECT_TRUE(writing.Get().ok());
}

TEST_F(TcpStreamTest, AnOrderlyEndIsOutOfRange) {
  ConnectBoth();
  server_.reset();
  EXPECT_TRUE(absl::StartsWith(Begin(ReadOnce(client_.get(), 10)).Get(), "[OUT_OF_RANGE"));
}

TEST_F(TcpStreamTest, CloseEndsAReadUnderWay) {
  ConnectBoth();
  auto reading = Begin(ReadOnce(client_.get(), 10));
  testing::RunReady(&io_);
  client_->Close();
  EXPECT_EQ(reading.Get(), "[UNAVAILABLE: read: closed]");
  client_->Close();
  EXPECT_EQ(Begin(WriteParts(client_.get(), {"x"})).Get().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TcpStreamTest, ErrorsSayWithWhatAndWhy) {
  acceptor_.close();
  EXPECT_EQ(ConnectError(address_), absl::StrCat("connect ", address_, ": Connection refused"));
  EXPECT_TRUE(absl::StrContains(ConnectError("no port"), "connect no port: address \"no port\""));
  EXPECT_TRUE(absl::StartsWith(ConnectError("name.invalid:1"),
                               "connect name.invalid:1: look up name.invalid: "));
}

TEST_F(TcpStreamTest, NamesAreLookedUp) {
  auto accepting = Begin(Accept());
  const std::string name = absl::StrCat("localhost:", acceptor_.local_endpoint().port());
  const Opened opened = Begin(factory_->Connect(strand_, name)).Get();
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ((*opened)->peer(), address_);
  accepting.Get();
}

}  // namespace
}  // namespace orch::bus
