// SPDX-License-Identifier: Apache-2.0
// Compiles Boost.Asio once for the whole tree (BOOST_ASIO_SEPARATE_COMPILATION).
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
