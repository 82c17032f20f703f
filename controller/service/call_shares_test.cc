// SPDX-License-Identifier: Apache-2.0
#include "controller/service/call_shares.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace orch::controller {
namespace {

using ::testing::ElementsAre;

class CallSharesTest : public ::testing::Test {
 protected:
  bool Begin(const std::string& caller, const std::string& call) {
    return shares_.Begin(Key(caller), [this, call] { started_.push_back(call); });
  }
  void End(const std::string& caller) { shares_.End(Key(caller)); }
  const void* Key(const std::string& caller) { return caller == "greedy" ? &greedy_ : &other_; }

  CallShares shares_{{.at_once = 2, .waiting = 3}};
  std::vector<std::string> started_;
  int greedy_ = 0, other_ = 0;
};

TEST_F(CallSharesTest, AGreedyCallersCallsWaitForItsOwn) {
  for (const char* call : {"1", "2", "3", "4"}) EXPECT_TRUE(Begin("greedy", call));
  EXPECT_TRUE(Begin("other", "o"));
  EXPECT_THAT(started_, ElementsAre("1", "2", "o"));
  End("greedy");
  EXPECT_THAT(started_, ElementsAre("1", "2", "o", "3"));
  End("greedy");
  End("greedy");
  End("greedy");
  EXPECT_THAT(started_, ElementsAre("1", "2", "o", "3", "4"));
}

TEST_F(CallSharesTest, MoreThanMayWaitIsRefused) {
  for (const char* call : {"1", "2", "3", "4", "5"}) EXPECT_TRUE(Begin("greedy", call));
  EXPECT_FALSE(Begin("greedy", "6"));
  EXPECT_TRUE(Begin("other", "o"));
  End("greedy");
  EXPECT_TRUE(Begin("greedy", "7"));
}

TEST_F(CallSharesTest, APlaceIsFreeAgainAfterTheEnd) {
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(Begin("greedy", "x"));
    EXPECT_TRUE(Begin("greedy", "x"));
    End("greedy");
    End("greedy");
  }
  EXPECT_EQ(started_.size(), 20u);
  End("greedy");
  EXPECT_TRUE(Begin("greedy", "x"));
}

}  // namespace
}  // namespace orch::controller
