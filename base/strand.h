// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "base/status.h"

// Strands, posting and timers: what a shell needs of Boost.Asio to live on a strand. Coroutines and
// sockets are in base/asio.h, which costs a compile twice as much and which headers therefore leave
// to those that await. Pure code includes neither.

namespace orch::base {

namespace asio = boost::asio;

// Calls posted to a strand run one after the other, in their order, whatever the number of threads.
using Strand = asio::strand<asio::io_context::executor_type>;

// Asserts that the caller runs on `strand`.
#define ORCH_CHECK_ON(strand) ORCH_CHECK((strand).running_in_this_thread())

}  // namespace orch::base
