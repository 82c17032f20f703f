// SPDX-License-Identifier: Apache-2.0

// Probes and scrapes come over a port that anybody may reach, beside daemons that must not be held
// up. So the server has no thread of its own: it serves three constant paths, reads no body, and
// bounds the time for each step. When it is full it closes the oldest connection that is still to
// send a request, not the new one: else whoever opens 64 idle connections would blind the
// monitoring. A connection lives on its own strand and is owned by its coroutine; the listener's
// list is only there to count and to close.

#include "bus/http/http.h"

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/version.hpp>
#include <list>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/asio.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/status.h"
#include "bus/stomp/address.h"

namespace orch::bus {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

namespace {

// One connection.
struct Stream : beast::tcp_stream {
  using beast::tcp_stream::tcp_stream;
  std::atomic<bool> answering = false;  // a whole request has come; read by the listener
};
using Response = http::response<http::string_body>;

// Waits for a callback that comes once from anywhere. Completes when: it came. Errors: none.
// Cancellation: none; every source answers. Runs on: the caller's strand.
template <typename T>
base::Awaitable<T> Ask(std::function<void(std::function<void(T)>)> source) {
  auto begin = [source = std::move(source)](auto handler) {
    auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    source([shared](T value) {
      auto executor = asio::get_associated_executor(*shared);
      asio::post(executor, [shared, value = std::move(value)]() mutable {
        std::move (*shared)(std::move(value));
      });
    });
  };
  T out = co_await asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(
      std::move(begin), asio::use_awaitable);
  co_return out;
}

Response Answer(http::status status, std::string body, absl::string_view type = "text/plain") {
  Response out(status, 11);
  out.set(http::field::content_type, absl::StrCat(std::string(type), "; charset=utf-8"));
  out.set(http::field::cache_control, "no-store");
  out.set("X-Content-Type-Options", "nosniff");
  out.body() = std::move(body);
  return out;
}

// Completes when: the answer is known. Runs on: the connection's strand.
base::Awaitable<Response> Route(std::shared_ptr<const HttpSources> sources, http::verb verb,
                                std::string target) {
  if (verb != http::verb::get && verb != http::verb::head) {
    Response refused = Answer(http::status::method_not_allowed, "GET and HEAD only\n");
    refused.set(http::field::allow, "GET, HEAD");
    co_return refused;
  }
  const std::string path = target.substr(0, target.find('?'));
  if (path == "/livez") co_return Answer(http::status::ok, "ok\n");
  if (path == "/readyz") {
    base::Awaitable<Readiness> asking = Ask<Readiness>(sources->readiness);
    const Readiness readiness = co_await std::move(asking);
    if (readiness.missing.empty()) co_return Answer(http::status::ok, "ok\n");
    co_return Answer(http::status::service_unavailable,
                     absl::StrCat("not ready\n", absl::StrJoin(readiness.missing, "\n"), "\n"));
  }
  if (path == "/metrics") {
    base::Awaitable<std::string> asking = Ask<std::string>(sources->metrics);
    std::string text = co_await std::move(asking);
    co_return Answer(http::status::ok, std::move(text), "text/plain; version=0.0.4");
  }
  co_return Answer(http::status::not_found, "there are /livez, /readyz and /metrics\n");
}

// Serves one connection. Completes when: it is closed. Errors: end it. Cancellation: by closing the
// socket. Runs on: the stream's strand.
base::Awaitable<void> Serve(std::shared_ptr<Stream> stream,
                            std::shared_ptr<const HttpSources> sources) {
  beast::flat_buffer buffer(HttpServer::kHeaderBytesMax);
  for (bool keep_alive = true; keep_alive;) {
    http::request_parser<http::empty_body> parser;
    parser.header_limit(HttpServer::kHeaderBytesMax);
    parser.body_limit(0);
    stream->expires_after(absl::ToChronoNanoseconds(HttpServer::kPatience));
    const auto [error, bytes] = co_await http::async_read(*stream, buffer, parser, base::kTuple);
    stream->answering = true;
    Response response;
    if (error) {
      const bool theirs =
          error.category() == http::make_error_code(http::error::bad_method).category();
      if (!theirs || error == http::error::end_of_stream) break;
      response = Answer(http::status::bad_request, "not an HTTP request that is served here\n");
      keep_alive = false;
    } else {
      keep_alive = parser.get().keep_alive();
      std::string target(parser.get().target());
      base::Awaitable<Response> routing = Route(sources, parser.get().method(), std::move(target));
      response = co_await std::move(routing);
    }
    response.keep_alive(keep_alive);
    response.prepare_payload();
    const bool head = !error && parser.get().method() == http::verb::head;
    if (head) response.body().clear();
    stream->expires_after(absl::ToChronoNanoseconds(HttpServer::kPatience));
    http::response_serializer<http::string_body> serializer(response);
    std::tuple<boost::system::error_code, size_t> written;
    if (head) {
      written = co_await http::async_write_header(*stream, serializer, base::kTuple);
    } else {
      written = co_await http::async_write(*stream, serializer, base::kTuple);
    }
    if (std::get<0>(written)) break;
    stream->answering = false;
  }
  boost::system::error_code ignored;
  stream->socket().shutdown(tcp::socket::shutdown_send, ignored);
}

}  // namespace

// Accepts connections. Lives on: strand_.
class HttpServer::Listener : public std::enable_shared_from_this<Listener> {
 public:
  Listener(asio::io_context* io, HttpSources sources)
      : io_(io),
        strand_(io->get_executor()),
        acceptor_(strand_),
        sources_(std::make_shared<const HttpSources>(std::move(sources))) {}

  absl::StatusOr<std::string> Bind(const std::string& listen) {
    ORCH_ASSIGN_OR_RETURN(const Address address, ParseAddress(listen));
    boost::system::error_code error;
    tcp::resolver resolver(*io_);
    const auto found = resolver.resolve(address.host, absl::StrCat(address.port), error);
    if (!error) {
      const tcp::endpoint endpoint = found.begin()->endpoint();
      acceptor_.open(endpoint.protocol(), error);
      if (!error) acceptor_.set_option(asio::socket_base::reuse_address(true), error);
      if (!error) acceptor_.bind(endpoint, error);
      if (!error) acceptor_.listen(kConnectionsMax, error);
    }
    if (error) {
      return absl::UnavailableError(absl::StrCat("listen ", listen, ": ", error.message()));
    }
    const bool v6 = address.host.find(':') != std::string::npos;
    return absl::StrCat(v6 ? "[" : "", address.host, v6 ? "]" : "", ":",
                        acceptor_.local_endpoint().port());
  }

  void Start() { asio::co_spawn(strand_, Accept(shared_from_this()), asio::detached); }

  void PostStop() {
    asio::post(strand_, [self = shared_from_this()] {
      boost::system::error_code ignored;
      self->acceptor_.close(ignored);
      for (const Open& each : self->open_) PostClose(each.stream);
    });
  }

 private:
  struct Open {
    std::shared_ptr<Stream> stream;
    bool closing = false;
  };

  static void PostClose(std::shared_ptr<Stream> stream) {
    asio::post(stream->get_executor(), [stream] { stream->close(); });
  }

  // Closes the oldest connection that waits for its peer. Whoever opens them and says nothing must
  // not keep the monitoring out. False: there is none.
  bool CloseIdle() {
    if (open_.size() >= 2 * kConnectionsMax) return false;  // those that are closing included
    for (Open& each : open_) {
      if (each.closing || each.stream->answering) continue;
      each.closing = true;
      PostClose(each.stream);
      return true;
    }
    return false;
  }

  // Whether there is room for one more.
  bool MakeRoom() {
    if (open_.size() < kConnectionsMax) return true;
    const bool closed = CloseIdle();
    uint64_t suppressed = 0;
    if (limiter_.Admit("full", base::SystemClock().Read(), &suppressed)) {
      base::LogWarning(
          "too many HTTP connections",
          {{"closed", closed ? "the oldest" : "the newest"}, {"not_logged", suppressed}});
    }
    return closed;
  }

  // Completes when: the acceptor was closed. Errors: of a single accept are waited out.
  // Cancellation: by PostStop. Runs on: strand_.
  static base::Awaitable<void> Accept(std::shared_ptr<Listener> self) {
    constexpr auto kPause = std::chrono::milliseconds(100);  // out of descriptors
    while (self->acceptor_.is_open()) {
      auto [error, socket] =
          co_await self->acceptor_.async_accept(asio::make_strand(*self->io_), base::kTuple);
      if (error) {
        asio::steady_timer pause(self->strand_, kPause);
        co_await pause.async_wait(base::kTuple);
        continue;
      }
      if (!self->MakeRoom()) continue;
      auto stream = std::make_shared<Stream>(std::move(socket));
      const auto place = self->open_.insert(self->open_.end(), Open{stream});
      asio::co_spawn(stream->get_executor(), Serve(stream, self->sources_),
                     [self, place](std::exception_ptr) {
                       asio::post(self->strand_, [self, place] { self->open_.erase(place); });
                     });
    }
  }

  asio::io_context* const io_;
  const base::Strand strand_;
  tcp::acceptor acceptor_;
  const std::shared_ptr<const HttpSources> sources_;
  std::list<Open> open_;  // oldest first
  base::LogLimiter limiter_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(asio::io_context* io,
                                                              const std::string& listen,
                                                              HttpSources sources) {
  auto listener = std::make_shared<Listener>(io, std::move(sources));
  ORCH_ASSIGN_OR_RETURN(std::string address, listener->Bind(listen));
  listener->Start();
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener), std::move(address)));
}

HttpServer::~HttpServer() { Stop(); }

void HttpServer::Stop() { listener_->PostStop(); }

}  // namespace orch::bus
