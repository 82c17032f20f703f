// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "base/strand.h"

namespace orch::controller {

// The way to an object that lives on another strand, for those who do not: a call on it is one hop,
//
//     dispatcher.Post([id, done](DispatcherApi& there) { there.GetJob(id, sees, done); });
//
// Calls arrive in the order in which they were posted. One that finds the object gone is dropped,
// with the callbacks that it carries. A copy is as good as the original; all of it is thread-safe.
template <typename T>
class Port {
 public:
  Port() = default;  // leads nowhere, and must not be posted to
  Port(base::Strand strand, std::weak_ptr<T> object)
      : strand_(std::move(strand)), object_(std::move(object)) {}
  // To the same object as its base.
  template <typename Derived>
  Port(const Port<Derived>& other) : strand_(other.strand_), object_(other.object_) {}

  // Runs `call(T&)` on the object's strand.
  template <typename Call>
  void Post(Call call) const {
    boost::asio::post(*strand_, [object = object_, call = std::move(call)]() mutable {
      if (const std::shared_ptr<T> there = object.lock()) call(*there);
    });
  }

 private:
  template <typename>
  friend class Port;

  std::optional<base::Strand> strand_;
  std::weak_ptr<T> object_;
};

}  // namespace orch::controller
