// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>

// "Call me, but only while I live": what is handed to timers, workers and the bus by objects that
// may end before they are called back. Whoever calls does so on the strand on which the object
// ends; nothing here locks anybody out.

namespace orch::base {

// `call(object, arguments...)`, as long as the object that `who` points to is there; it stays there
// until the call returns. For objects that are held by shared_ptr: WhileAlive(weak_from_this(), …).
template <typename Object, typename Call>
auto WhileAlive(std::weak_ptr<Object> who, Call call) {
  return [who = std::move(who), call = std::move(call)](auto&&... arguments) {
    if (const std::shared_ptr<Object> object = who.lock()) {
      call(*object, std::forward<decltype(arguments)>(arguments)...);
    }
  };
}

// The same for all others: a member, the last one, so that it ends first.
class Lifetime {
 public:
  Lifetime() = default;
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  // `call(arguments...)`, as long as this lifetime goes on. `call` may hold `this` of its owner.
  template <typename Call>
  auto Guard(Call call) const {
    return
        [alive = std::weak_ptr<const bool>(alive_), call = std::move(call)](auto&&... arguments) {
          if (!alive.expired()) call(std::forward<decltype(arguments)>(arguments)...);
        };
  }

 private:
  const std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace orch::base
