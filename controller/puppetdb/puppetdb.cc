// SPDX-License-Identifier: Apache-2.0
#include "controller/puppetdb/puppetdb.h"

#include <array>
#include <boost/beast/http.hpp>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "api/errors.h"
#include "base/asio.h"
#include "base/log.h"
#include "base/status.h"

namespace orch::controller {

namespace asio = boost::asio;
namespace http = boost::beast::http;

namespace {

using Names = absl::StatusOr<std::vector<std::string>>;

constexpr size_t kHeaderBytesMax = 16 << 10;
constexpr size_t kReadBytes = 64 << 10;

}  // namespace

// One query under way.
struct PuppetDb::Exchange {
  explicit Exchange(base::Strand strand) : timer(strand) {}

  std::string request;
  std::unique_ptr<bus::Stream> stream;
  asio::steady_timer timer;
  bool timed_out = false;
  std::array<char, kReadBytes> buffer;
};

PuppetDb::PuppetDb(base::Strand strand, PuppetDbAddress address,
                   std::shared_ptr<bus::StreamFactory> streams,
                   std::shared_ptr<trust::Credentials> own)
    : strand_(std::move(strand)),
      address_(std::move(address)),
      streams_(std::move(streams)),
      own_(std::move(own)) {}

std::string PuppetDb::RequestFor(const std::string& pql) const {
  http::request<http::string_body> request(http::verb::post, address_.path, 11);
  request.set(http::field::host, address_.host);
  request.set(http::field::accept, "application/json");
  request.set(http::field::content_type, "application/json");
  request.set(http::field::connection, "close");
  request.body() = PqlBody(pql);
  request.prepare_payload();
  std::ostringstream text;
  text << request;
  return std::move(text).str();
}

void PuppetDb::PostQuery(std::string pql, Done done) {
  asio::post(strand_, [self = shared_from_this(), pql = std::move(pql), done = std::move(done)] {
    if (self->queries_ >= kQueriesMax) {
      return done(api::WithRetry(
          api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_QUERIES",
                     absl::StrCat("PuppetDB is being asked ", kQueriesMax, " things already")),
          absl::Seconds(1)));
    }
    ++self->queries_;
    auto exchange = std::make_shared<Exchange>(self->strand_);
    exchange->request = self->RequestFor(pql);
    asio::co_spawn(self->strand_, Run(self, exchange, done), asio::detached);
  });
}

// Completes when: `done` was called. Errors: go to `done`. Cancellation: none; ends by its own
// deadline. Runs on: the strand.
base::Awaitable<void> PuppetDb::Run(std::shared_ptr<PuppetDb> self,
                                    std::shared_ptr<Exchange> exchange, Done done) {
  exchange->timer.expires_after(absl::ToChronoNanoseconds(kTimeMax));
  exchange->timer.async_wait([exchange](boost::system::error_code error) {
    if (error) return;
    exchange->timed_out = true;
    if (exchange->stream != nullptr) exchange->stream->Close();
  });
  base::Awaitable<Names> asking = Ask(self, exchange);
  Names names = co_await std::move(asking);
  exchange->timer.cancel();
  if (exchange->stream != nullptr) exchange->stream->Close();
  --self->queries_;
  if (exchange->timed_out && !names.ok()) {
    names = PuppetDbUnavailable(
        absl::StrCat("no whole answer within ", absl::FormatDuration(kTimeMax)));
  }
  if (names.ok()) {
    done(std::move(names));
  } else {
    done(base::Annotate(names.status(), absl::StrCat("PuppetDB ", self->address_.host)));
  }
}

// Completes when: the answer was understood. Errors: as CertnamesIn. Cancellation: by the
// exchange's timer. Runs on: the strand.
base::Awaitable<Names> PuppetDb::Ask(std::shared_ptr<PuppetDb> self,
                                     std::shared_ptr<Exchange> exchange) {
  if (self->own_ != nullptr) {
    const absl::StatusOr<bool> reloaded = self->own_->Reload(absl::Now());
    if (!reloaded.ok()) {
      base::LogError("certificates for PuppetDB not reloaded, the old ones stay in force",
                     {{"why", reloaded.status().message()}});
    }
  }
  base::Awaitable<absl::StatusOr<std::unique_ptr<bus::Stream>>> connecting =
      self->streams_->Connect(self->strand_, self->address_.host_port);
  base::Awaitable<std::optional<absl::StatusOr<std::unique_ptr<bus::Stream>>>> in_time =
      base::WithDeadline(std::move(connecting), kTimeMax);
  std::optional<absl::StatusOr<std::unique_ptr<bus::Stream>>> stream = co_await std::move(in_time);
  if (!stream.has_value()) co_return PuppetDbUnavailable("not connected in time");
  if (!stream->ok()) co_return PuppetDbUnavailable(stream->status().message());
  exchange->stream = *std::move(*stream);
  if (exchange->timed_out) co_return PuppetDbUnavailable("not connected in time");
  base::Awaitable<Names> talking = Talk(self, exchange);
  Names names = co_await std::move(talking);
  co_return names;
}

base::Awaitable<Names> PuppetDb::Talk(std::shared_ptr<PuppetDb> self,
                                      std::shared_ptr<Exchange> exchange) {
  const std::vector<asio::const_buffer> request = {asio::buffer(exchange->request)};
  base::Awaitable<absl::Status> writing = exchange->stream->Write(request);
  const absl::Status written = co_await std::move(writing);
  if (!written.ok()) co_return PuppetDbUnavailable(written.message());
  http::response_parser<http::string_body> parser;
  parser.header_limit(kHeaderBytesMax);
  parser.body_limit(kPuppetDbBytesMax);
  parser.eager(true);
  std::string unparsed;
  while (!parser.is_done()) {
    base::Awaitable<absl::StatusOr<size_t>> reading =
        exchange->stream->Read(exchange->buffer.data(), exchange->buffer.size());
    const absl::StatusOr<size_t> read = co_await std::move(reading);
    boost::system::error_code error;
    if (read.ok()) {
      unparsed.append(exchange->buffer.data(), *read);
      unparsed.erase(0, parser.put(asio::buffer(unparsed), error));
      if (error == http::error::need_more) error = {};
    } else if (absl::IsOutOfRange(read.status())) {
      parser.put_eof(error);
      if (!error && !parser.is_done()) error = http::error::partial_message;
    } else {
      co_return PuppetDbUnavailable(read.status().message());
    }
    if (error == http::error::body_limit) {
      co_return PuppetDbAnswerTooLarge(
          absl::StrCat("its answer is larger than ", kPuppetDbBytesMax, " bytes"));
    }
    if (error) co_return PuppetDbUnavailable(absl::StrCat("its answer: ", error.message()));
  }
  co_return CertnamesIn(static_cast<int>(parser.get().result_int()), parser.get().body());
}

}  // namespace orch::controller
