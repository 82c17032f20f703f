// SPDX-License-Identifier: Apache-2.0
#include "base/ids.h"

#include <gtest/gtest.h>

#include <set>

namespace orch::base {
namespace {

TEST(UlidTest, SortsByTimeAndByOrderWithinAMillisecond) {
  const absl::Time t = absl::FromUnixMillis(1'800'000'000'000);
  std::string last;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = NewUlid(t);
    EXPECT_TRUE(IsUlid(id)) << id;
    EXPECT_LT(last, id);
    last = id;
  }
  EXPECT_LT(last, NewUlid(t + absl::Milliseconds(1)));
}

TEST(UlidTest, CarriesTheTimeAsTheSpecificationSays) {
  // 2100-01-01T00:00:00Z.
  const std::string id = NewUlid(absl::FromUnixMillis(4'102'444'800'000));
  EXPECT_EQ(id.substr(0, 10), "03QCPC7P00");
}

TEST(UlidTest, OnlyTheCanonicalFormCounts) {
  EXPECT_TRUE(IsUlid("01ARYZ6S41TSV4RRFFQ69G5FAV"));
  EXPECT_FALSE(IsUlid("01aryz6s41tsv4rrffq69g5fav"));
  EXPECT_FALSE(IsUlid("01ARYZ6S41TSV4RRFFQ69G5FA"));
  EXPECT_FALSE(IsUlid("81ARYZ6S41TSV4RRFFQ69G5FAV"));
  EXPECT_FALSE(IsUlid("01ARYZ6S41TSV4RRFFQ69G5FAI"));
}

TEST(IdentityTest, OnlyWhatMayEnterADestination) {
  for (const char* good : {"web1.example.net", "a", "n_1-x"}) EXPECT_TRUE(IsIdentity(good)) << good;
  for (const char* bad : {"", "Web", "a b", "a/b", "a*", ".hidden", "-x", "a\n", "ü"})
    EXPECT_FALSE(IsIdentity(bad)) << bad;
  EXPECT_TRUE(IsIdentity(std::string(253, 'a')));
  EXPECT_FALSE(IsIdentity(std::string(254, 'a')));
}

TEST(CollectiveTest, IsShorterAndHasNoDots) {
  EXPECT_TRUE(IsCollective("main"));
  EXPECT_TRUE(IsCollective("eu_west-1"));
  for (const char* bad : {"", "a.b", "A", "a b"}) EXPECT_FALSE(IsCollective(bad)) << bad;
  EXPECT_FALSE(IsCollective(std::string(33, 'a')));
}

TEST(CallerTest, IsAPrincipal) {
  for (const char* good :
       {"cert=operator", "jwt=issuer/sub", "local=insecure", "uid=500", "cert=a@b:c"}) {
    EXPECT_TRUE(IsCaller(good)) << good;
  }
  for (const char* bad :
       {"", "operator", "cert=", "=x", "cert=a b", "jwt=a/b/c", "CERT=x", "cert=a\n"}) {
    EXPECT_FALSE(IsCaller(bad)) << bad;
  }
}

TEST(RandomTest, DoesNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(RandomBytes16()).second);
  EXPECT_EQ(Hex(std::string("\x00\xff", 2)), "00ff");
}

TEST(IdsTest, AUlidTellsWhenItWasMade) {
  EXPECT_EQ(UlidTime("01ARZ3NDEKTSV4RRFFQ69G5FAV"), absl::FromUnixMillis(1469922850259));
  EXPECT_EQ(UlidTime("01ARZ3NDEKTSV4RRFFQ69G5FA"), absl::InfinitePast());
  EXPECT_EQ(UlidTime("81ARZ3NDEKTSV4RRFFQ69G5FAV"), absl::InfinitePast());
}

}  // namespace
}  // namespace orch::base
