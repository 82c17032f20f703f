// SPDX-License-Identifier: Apache-2.0
#include "base/weak.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace orch::base {
namespace {

struct Listener : std::enable_shared_from_this<Listener> {
  std::string heard;
};

TEST(WeakTest, WhoIsThereIsCalled) {
  const auto listener = std::make_shared<Listener>();
  const std::function<void(std::string, int)> call = WhileAlive(
      listener->weak_from_this(), [](Listener& self, const std::string& word, int times) {
        for (int i = 0; i < times; ++i) self.heard += word;
      });
  call("a", 3);
  EXPECT_EQ(listener->heard, "aaa");
}

TEST(WeakTest, WhoIsGoneIsNot) {
  auto listener = std::make_shared<Listener>();
  bool called = false;
  const std::function<void()> call =
      WhileAlive(listener->weak_from_this(), [&called](Listener&) { called = true; });
  listener.reset();
  call();
  EXPECT_FALSE(called);
}

TEST(WeakTest, NobodyIsHeldByBeingCalledLater) {
  auto listener = std::make_shared<Listener>();
  const std::weak_ptr<Listener> seen = listener;
  const std::function<void()> call = WhileAlive(listener->weak_from_this(), [](Listener&) {});
  listener.reset();
  EXPECT_TRUE(seen.expired());
}

TEST(WeakTest, ALifetimeEndsWithItsOwner) {
  struct Owner {
    int calls = 0;
    Lifetime lifetime;
  };
  auto owner = std::make_unique<Owner>();
  Owner* const raw = owner.get();
  const std::function<void(int)> call =
      owner->lifetime.Guard([raw](int more) { raw->calls += more; });
  call(2);
  EXPECT_EQ(owner->calls, 2);
  owner.reset();
  call(2);  // touches nothing: a sanitizer would tell
}

TEST(WeakTest, WhatCanOnlyBeMovedIsPassedOn) {
  const Lifetime lifetime;
  auto call = lifetime.Guard([kept = std::make_unique<int>(1)](std::unique_ptr<int> given) {
    EXPECT_EQ(*kept + *given, 3);
  });
  call(std::make_unique<int>(2));
}

}  // namespace
}  // namespace orch::base
