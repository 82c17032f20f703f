// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <optional>
#include <utility>
#include <variant>

#include "absl/time/time.h"
#include "base/strand.h"

// The part of Boost.Asio that shells use, and the rules of how: every object lives on one strand,
// which its class comment names; methods that may be called from elsewhere are called Post…; one
// co_await per statement; no capturing coroutine lambdas; coroutine parameters by value. Pure code
// never includes this.

namespace orch::base {

template <typename T>
using Awaitable = asio::awaitable<T>;

// The completion token of every asynchronous operation: co_await gives (error_code, …), nothing is
// thrown.
inline constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

// Runs `operation` for at most `limit`; then it is cancelled and nullopt comes back. The one place
// for timeouts. Completes when: the operation has, or has been cancelled. Errors: the operation's
// own, in its result. Cancellation: passed on. Runs on: the caller's strand.
template <typename T>
Awaitable<std::optional<T>> WithDeadline(Awaitable<T> operation, absl::Duration limit) {
  using asio::experimental::awaitable_operators::operator||;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(absl::ToChronoNanoseconds(limit));
  std::variant<T, std::tuple<boost::system::error_code>> first =
      co_await (std::move(operation) || timer.async_wait(kTuple));
  if (first.index() == 0) co_return std::optional<T>(std::get<0>(std::move(first)));
  co_return std::nullopt;
}

}  // namespace orch::base
