// SPDX-License-Identifier: Apache-2.0
#include "cli/grid.h"

#include <gtest/gtest.h>

#include "orch/v1/node.pb.h"

namespace orch::cli {
namespace {

Grid Fleet() {
  Grid grid({"NODE", "LAST SEEN", "STATE"});
  grid.Add({"web10", Cell("2m10s ago", 130), "PRESENT"});
  grid.Add({"web2", Cell("4.2 s ago", 4.2), "STALE"});
  grid.Add({"db1", Cell("-", 1e9), "PRESENT"});
  return grid;
}

std::vector<std::string> Names(const std::string& sort_by) {
  Grid grid = Fleet();
  const absl::Status status = grid.SortBy(sort_by);
  EXPECT_TRUE(status.ok()) << status;
  std::vector<std::string> names;
  for (size_t i = 0; i < grid.order().size(); ++i) names.push_back(grid.Row(i)[0]);
  return names;
}

using Words = std::vector<std::string>;

TEST(Grid, StaysAsItWasAdded) { EXPECT_EQ(Names(""), (Words{"web10", "web2", "db1"})); }

TEST(Grid, SortsAsPeopleCountOrByTheNumberBehindTheText) {
  EXPECT_EQ(Names("node"), (Words{"db1", "web2", "web10"}));
  EXPECT_EQ(Names("-node"), (Words{"web10", "web2", "db1"}));
  EXPECT_EQ(Names("last-seen"), (Words{"web2", "web10", "db1"}));
  EXPECT_EQ(Names("LAST SEEN"), (Words{"web2", "web10", "db1"}));
  EXPECT_EQ(Names("state"), (Words{"web10", "db1", "web2"}));  // ties as added
  EXPECT_EQ(Names("-state,node"), (Words{"web2", "db1", "web10"}));
}

TEST(Grid, NamesTheColumnsThatItHas) {
  Grid grid = Fleet();
  EXPECT_EQ(grid.SortBy("age").message(), "--sort-by age: `age` is none of node, last-seen, state");
  EXPECT_FALSE(grid.SortBy("node,").ok());
  EXPECT_FALSE(grid.SortBy("-").ok());
  EXPECT_EQ(grid.Row(0)[0], "web10");
}

TEST(Grid, PrintsTheFirstColumnsInOrder) {
  Grid grid = Fleet();
  ASSERT_TRUE(grid.SortBy("node").ok());
  EXPECT_EQ(grid.Print(true, 2),
            "NODE   LAST SEEN\ndb1    -\nweb2   4.2 s ago\nweb10  2m10s ago\n");
  EXPECT_EQ(grid.Print(false, 1), "db1\nweb2\nweb10\n");
}

TEST(Grid, ArrangesWhatTheRowsWereMadeOf) {
  google::protobuf::RepeatedPtrField<orch::v1::Node> nodes;
  for (const char* name : {"web10", "web2", "db1"}) nodes.Add()->set_identity(name);
  Grid grid = Fleet();
  ASSERT_TRUE(grid.SortBy("node").ok());
  grid.Arrange(&nodes);
  EXPECT_EQ(nodes[0].identity(), "db1");
  EXPECT_EQ(nodes[2].identity(), "web10");
}

}  // namespace
}  // namespace orch::cli
