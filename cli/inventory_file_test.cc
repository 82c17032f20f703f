// SPDX-License-Identifier: Apache-2.0
#include "cli/inventory_file.h"

#include <gtest/gtest.h>

#include "base/config.h"

namespace orch::cli {
namespace {

using Names = std::vector<std::string>;

constexpr char kInventory[] = R"(
groups:
  web: {nodes: [web1, web2]}
  db:
    nodes: [db1]
  eu:
    nodes: [web1, mail1]
    groups: [db, loop]
  loop: {groups: [eu, loop]}
  lost: {groups: [nowhere]}
  bad: {nodes: ["/web.*/"]}
  nobody: {}
)";

class InventoryTest : public ::testing::Test {
 protected:
  InventoryTest() { EXPECT_TRUE(base::ParseYaml(kInventory, "fleet.yaml", &inventory_).ok()); }
  absl::StatusOr<Names> Of(const std::vector<std::string>& groups) {
    return NodesOfGroups(inventory_, "fleet.yaml", groups);
  }
  std::string ErrorOf(const std::string& group) {
    return std::string(Of({group}).status().message());
  }
  Inventory inventory_;
};

TEST_F(InventoryTest, GroupsMayNestAndOverlap) {
  EXPECT_EQ(*Of({"web"}), (Names{"web1", "web2"}));
  EXPECT_EQ(*Of({"eu"}), (Names{"db1", "mail1", "web1"}));
  EXPECT_EQ(*Of({"db", "web"}), (Names{"db1", "web1", "web2"}));
}

TEST_F(InventoryTest, SaysWhatIsWrong) {
  EXPECT_EQ(ErrorOf("wbe"),
            "fleet.yaml: --group names the group `wbe`, which is not there; there are bad, db, eu, "
            "loop, lost, nobody, web");
  EXPECT_EQ(ErrorOf("lost").substr(0, 65),
            "fleet.yaml: groups.lost.groups names the group `nowhere`, which i");
  EXPECT_EQ(ErrorOf("bad"), "fleet.yaml: groups.bad.nodes: `/web.*/` is not a node's identity");
  EXPECT_EQ(ErrorOf("nobody"), "fleet.yaml: nobody: no nodes in it");
  EXPECT_EQ(ReadGroups("/nonexistent.yaml", {"web"}).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace orch::cli
