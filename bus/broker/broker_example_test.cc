// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "base/config.h"
#include "bus/broker/broker.h"
#include "bus/broker_main_config.pb.h"

namespace orch::bus {
namespace {

TEST(BrokerExampleTest, TheCommentedExampleIsGood) {
  BrokerMainConfig config;
  const absl::Status read = base::LoadYaml("deploy/brokers/orch-broker/broker.yaml", &config);
  ASSERT_TRUE(read.ok()) << read;
  EXPECT_TRUE(ValidateBrokerConfig(config.broker()).ok());
  EXPECT_FALSE(config.trust().certificate().empty());
}

}  // namespace
}  // namespace orch::bus
