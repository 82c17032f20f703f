// SPDX-License-Identifier: Apache-2.0
#include "base/gzip.h"

#include <gtest/gtest.h>

namespace orch::base {
namespace {

TEST(GzipTest, ComesBackAsItWas) {
  for (const std::string& text :
       {std::string(), std::string("facts"), std::string(1 << 20, 'x'), std::string("\0\xff", 2)}) {
    const auto back = Gunzip(Gzip(text), 1 << 20);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_EQ(*back, text);
  }
  EXPECT_LT(Gzip(std::string(1 << 20, 'x')).size(), 10'000u);
}

TEST(GzipTest, UnpacksNoMoreThanItMay) {
  const std::string packed = Gzip(std::string(1 << 20, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(Gunzip(packed, (1 << 20) - 1).status()));
}

TEST(GzipTest, WhatIsDamagedIsAnError) {
  std::string packed = Gzip("some facts of a node");
  EXPECT_FALSE(Gunzip("", 100).ok());
  EXPECT_FALSE(Gunzip("facts", 100).ok());
  EXPECT_FALSE(Gunzip(absl::string_view(packed).substr(0, packed.size() - 1), 100).ok());
  packed[packed.size() / 2] ^= 1;
  EXPECT_FALSE(Gunzip(packed, 100).ok());
}

}  // namespace
}  // namespace orch::base
