// SPDX-License-Identifier: Apache-2.0
#include "controller/puppetdb/puppetdb.h"

#include <gtest/gtest.h>

#include <deque>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/asio.h"
#include "test/testing/loop.h"

namespace orch::controller {
namespace {

using Names = std::vector<std::string>;

// A PuppetDB that says what the test has written down, in pieces, and keeps what it was asked.
class FakePuppetDb : public bus::StreamFactory {
 public:
  explicit FakePuppetDb(base::Strand strand) : strand_(strand) {}

  base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> Connect(
      base::Strand strand, std::string address) override {
    addresses.push_back(address);
    if (!refusal.ok()) co_return refusal;
    auto [ours, theirs] = bus::NewMemoryStreams(strand_, strand);
    auto kept = std::shared_ptr<bus::Stream>(std::move(ours));
    streams.push_back(kept);
    boost::asio::co_spawn(strand_, Serve(this, kept), boost::asio::detached);
    co_return std::move(theirs);
  }

  absl::Status refusal;
  std::deque<std::string> pieces;  // of the answer
  bool hang_up = true;             // after the last piece
  std::string asked;
  std::vector<std::string> addresses;
  std::vector<std::shared_ptr<bus::Stream>> streams;

 private:
  static base::Awaitable<void> Serve(FakePuppetDb* self, std::shared_ptr<bus::Stream> stream) {
    char buffer[4096];
    while (!absl::StrContains(self->asked, "}")) {
      base::Awaitable<absl::StatusOr<size_t>> reading = stream->Read(buffer, sizeof buffer);
      const absl::StatusOr<size_t> read = co_await std::move(reading);
      if (!read.ok()) co_return;
      self->asked.append(buffer, *read);
    }
    for (const std::string& piece : self->pieces) {
      const std::vector<boost::asio::const_buffer> bytes = {boost::asio::buffer(piece)};
      base::Awaitable<absl::Status> writing = stream->Write(bytes);
      const absl::Status written = co_await std::move(writing);
      if (!written.ok()) co_return;
    }
    if (self->hang_up) stream->Close();
  }

  const base::Strand strand_;
};

class PuppetDbTest : public ::testing::Test {
 protected:
  PuppetDbTest() {
    puppetdb_ =
        std::make_shared<PuppetDb>(base::Strand(io_.get_executor()),
                                   *ParsePuppetDbUrl("https://puppetdb:8081"), peer_, nullptr);
  }
  absl::StatusOr<Names> Ask() {
    auto answer = std::make_shared<std::optional<absl::StatusOr<Names>>>();
    puppetdb_->PostQuery("nodes[certname]{}",
                         [answer](absl::StatusOr<Names> names) { *answer = std::move(names); });
    EXPECT_TRUE(orch::testing::RunUntil(&io_, [&] { return answer->has_value(); }));
    return answer->value_or(absl::UnknownError("no answer"));
  }
  std::string ReasonOfAsk() { return api::ReasonOf(Ask().status()); }

  boost::asio::io_context io_;
  std::shared_ptr<FakePuppetDb> peer_ =
      std::make_shared<FakePuppetDb>(base::Strand(io_.get_executor()));
  std::shared_ptr<PuppetDb> puppetdb_;
};

TEST_F(PuppetDbTest, AsksWithAPostAndReadsAnAnswerInPieces) {
  peer_->pieces = {"HTTP/1.1 2", "00 OK\r\nContent-Length: 36\r\n", "\r\n[{\"certname\":\"b\"},",
                   "{\"certname\":\"a\"}]  "};
  peer_->hang_up = false;
  const auto names = Ask();
  ASSERT_TRUE(names.ok()) << names.status();
  EXPECT_EQ(*names, (Names{"a", "b"}));
  EXPECT_EQ(peer_->addresses, Names{"puppetdb:8081"});
  EXPECT_TRUE(absl::StartsWith(peer_->asked, "POST /pdb/query/v4 HTTP/1.1\r\n")) << peer_->asked;
  EXPECT_TRUE(absl::StrContains(peer_->asked, "Host: puppetdb:8081\r\n"));
  EXPECT_TRUE(absl::EndsWith(peer_->asked, "\r\n\r\n{\"query\":\"nodes[certname]{}\"}"));
}

TEST_F(PuppetDbTest, ReadsChunksAndUntilTheEnd) {
  peer_->pieces = {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n14\r\n",
                   "[{\"certname\":\"a\"}  ]\r\n0\r\n\r\n"};
  EXPECT_EQ(*Ask(), Names{"a"});
  peer_->asked.clear();
  peer_->pieces = {"HTTP/1.1 200 OK\r\n\r\n[{\"certname\":", "\"b\"}]"};
  EXPECT_EQ(*Ask(), Names{"b"});
}

TEST_F(PuppetDbTest, PassesOnWhatPuppetDbSaysOfTheQuery) {
  peer_->pieces = {"HTTP/1.1 400 Bad Request\r\nContent-Length: 15\r\n\r\nPQL parse error"};
  const absl::Status status = Ask().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "PuppetDB puppetdb:8081: PQL parse error");
}

TEST_F(PuppetDbTest, WhatCantBeReadIsUnavailable) {
  for (const char* answer :
       {"", "SSH-2.0-OpenSSH_9\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[{\"certn",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 503 Busy\r\n\r\n"}) {
    peer_->asked.clear();
    peer_->pieces = {answer};
    EXPECT_EQ(ReasonOfAsk(), "PUPPETDB_UNAVAILABLE") << answer;
  }
  peer_->refusal = absl::UnavailableError("connect puppetdb:8081: Connection refused");
  const absl::Status refused = Ask().status();
  EXPECT_EQ(refused.message(), "PuppetDB puppetdb:8081: connect puppetdb:8081: Connection refused");
  EXPECT_TRUE(refused.GetPayload(absl::StrCat(api::kTypeUrlPrefix, "RetryInfo")).has_value());
}

TEST_F(PuppetDbTest, AnAnswerHasALimit) {
  peer_->pieces = {
      absl::StrCat("HTTP/1.1 200 OK\r\nContent-Length: ", kPuppetDbBytesMax + 1, "\r\n\r\n[")};
  EXPECT_EQ(ReasonOfAsk(), "PUPPETDB_ANSWER_TOO_LARGE");
  peer_->asked.clear();
  peer_->pieces = {absl::StrCat("HTTP/1.1 200 OK\r\nX: ", std::string(100'000, 'x'))};
  EXPECT_EQ(ReasonOfAsk(), "PUPPETDB_UNAVAILABLE");
}

TEST_F(PuppetDbTest, AsksOnlySoManyThingsAtOnce) {
  peer_->hang_up = false;  // and says nothing
  int refused = 0, others = 0;
  for (int i = 0; i < PuppetDb::kQueriesMax + 1; ++i) {
    puppetdb_->PostQuery("nodes[certname]{}", [&](absl::StatusOr<Names> names) {
      ++(api::ReasonOf(names.status()) == "TOO_MANY_QUERIES" ? refused : others);
    });
  }
  EXPECT_TRUE(orch::testing::RunUntil(&io_, [&] { return refused == 1; }));
  EXPECT_EQ(others, 0);
  for (const auto& stream : peer_->streams) stream->Close();
  EXPECT_TRUE(orch::testing::RunUntil(&io_, [&] { return others == PuppetDb::kQueriesMax; }));
}

}  // namespace
}  // namespace orch::controller
