// SPDX-License-Identifier: Apache-2.0
#include "cli/distribution.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "api/json.h"
#include "cli/text.h"

namespace orch::cli {
namespace {

using nlohmann::json;

class DistributionTest : public testing::Test {
 protected:
  // A node that answered with these facts; `fact` missing where it is null.
  void Node(const std::string& name, const json& value) {
    orch::v1::JobNode& node = nodes_[name];
    node.set_node(name);
    node.set_state(orch::v1::NODE_STATE_SUCCEEDED);
    auto& facts = *node.mutable_result()->mutable_node_facts()->mutable_facts();
    if (!value.is_null()) facts["fact"] = api::ToValue(value);
  }
  void Silent(const std::string& name) {
    nodes_[name].set_node(name);
    nodes_[name].set_state(orch::v1::NODE_STATE_NO_RESPONSE);
  }
  std::vector<std::string> Order(const std::string& sort_by) {
    Distribution distribution = Distribute("fact", nodes_);
    EXPECT_TRUE(SortShares(sort_by, &distribution).ok());
    std::vector<std::string> texts;
    for (const Share& share : distribution.shares) texts.push_back(share.text);
    return texts;
  }
  std::string Picture(bool wide = false, bool headers = false) {
    Distribution distribution = Distribute("fact", nodes_);
    EXPECT_TRUE(SortShares("", &distribution).ok());
    return Drawn(distribution, terminal_, wide, headers);
  }

  std::map<std::string, orch::v1::JobNode> nodes_;
  std::ostringstream out_, err_;
  Terminal terminal_{out_, err_};
};

TEST_F(DistributionTest, CountsPercentagesAndBars) {
  Node("a", "Debian");
  Node("b", "Debian");
  Node("c", "RedHat");
  Node("d", nullptr);
  Silent("e");
  terminal_.width = 40;
  EXPECT_EQ(Picture(false, true),
            "fact  2 values on 4 nodes\n"
            "Debian  2   50%  ###########\n"
            "RedHat  1   25%  #####\n"
            "(none)  1   25%  #####\n");
  terminal_.unicode = true;
  EXPECT_EQ(Picture(),
            "Debian  2   50%  ███████████\n"
            "RedHat  1   25%  █████▌\n"
            "(none)  1   25%  █████▌\n");
  EXPECT_EQ(Picture(true),
            "Debian  2   50%  ███████████\n    a\n    b\n"
            "RedHat  1   25%  █████▌\n    c\n"
            "(none)  1   25%  █████▌\n    d\n");
}

TEST_F(DistributionTest, ANarrowTerminalHasNoBars) {
  Node("a", "Debian");
  terminal_.out_is_tty = true;
  terminal_.width = 20;
  EXPECT_EQ(Picture(), "Debian  1  100%\n");
}

TEST_F(DistributionTest, RareValuesAreStillSeen) {
  for (int i = 0; i < 999; ++i) Node(absl::StrCat("n", i), "common");
  Node("odd", "rare");
  const std::string picture = Picture();
  EXPECT_NE(picture.find("common  999  >99%  "), std::string::npos) << picture;
  EXPECT_NE(picture.find("rare      1   <1%  #\n"), std::string::npos) << picture;
}

TEST_F(DistributionTest, NumbersSortAsNumbers) {
  Node("a", 10);
  Node("b", 9);
  Node("c", -1.5);
  Node("d", "text10");
  Node("e", "text9");
  Node("f", nullptr);
  EXPECT_EQ(Order("value"),
            (std::vector<std::string>{"-1.5", "9", "10", "text9", "text10", "(none)"}));
  EXPECT_EQ(Order("-value"),
            (std::vector<std::string>{"text10", "text9", "10", "9", "-1.5", "(none)"}));
  Node("g", 10);
  EXPECT_EQ(Order("count")[0], "10");
  EXPECT_EQ(Order("-count").rbegin()[1], "10");
  Distribution distribution;
  EXPECT_EQ(SortShares("size", &distribution).message(),
            "--sort-by size: `size` is none of count, value");
}

TEST_F(DistributionTest, KindsAreToldApart) {
  Node("a", 4);
  Node("b", "4");
  Node("c", true);
  Node("d", "true");
  Node("e", "(none)");
  Node("f", "");
  Node("g", " x");
  Node("h", json::array({"a", 1}));
  EXPECT_EQ(Order("value"), (std::vector<std::string>{"4", "\" x\"", "\"\"", "\"(none)\"", "\"4\"",
                                                      "\"true\"", "[\"a\",1]", "true"}));
}

TEST_F(DistributionTest, AMapNamesItsParts) {
  Node("a", {{"family", "Debian"}, {"name", "Debian"}});
  Node("b", {{"family", "RedHat"}, {"selinux", true}});
  const Distribution distribution = Distribute("fact", nodes_);
  EXPECT_EQ(distribution.parts,
            (std::set<std::string>{"fact.family", "fact.name", "fact.selinux"}));
  EXPECT_EQ(distribution.shares.size(), 2u);
}

TEST_F(DistributionTest, HostileValuesStayInTheirLine) {
  Node("a", "evil\n\x1b[31mweb1 succeeded\u202e");
  Node("b", std::string(500, 'x'));
  terminal_.out_is_tty = true;
  terminal_.width = 80;
  const std::string picture = Picture();
  EXPECT_EQ(picture.find('\x1b'), std::string::npos);
  EXPECT_EQ(std::count(picture.begin(), picture.end(), '\n'), 2);
  EXPECT_NE(picture.find("evil \\x1b[31mweb1"), std::string::npos) << picture;
  EXPECT_NE(picture.find("xxx..."), std::string::npos) << picture;
  for (absl::string_view rest = picture; !rest.empty();) {
    const size_t end = rest.find('\n');
    EXPECT_LE(Columns(rest.substr(0, end)), 80u);
    rest.remove_prefix(end + 1);
  }
  // Through a pipe nothing is cut.
  terminal_.out_is_tty = false;
  EXPECT_NE(Picture().find(std::string(500, 'x')), std::string::npos);
}

TEST_F(DistributionTest, WideCharactersKeepTheColumns) {
  Node("a", "東京");
  Node("b", "Rome");
  terminal_.unicode = true;
  EXPECT_EQ(Picture(),
            "Rome  1   50%  ████████████████████\n東京  1   50%  ████████████████████\n");
}

TEST_F(DistributionTest, NobodyAnsweredIsAnEmptyPicture) {
  Silent("a");
  EXPECT_EQ(Picture(), "");
}

}  // namespace
}  // namespace orch::cli
