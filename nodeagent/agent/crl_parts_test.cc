// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/crl_parts.h"

#include <gtest/gtest.h>

#include "base/sha256.h"

namespace orch::nodeagent {
namespace {

orch::bus::v1::CrlUpdate Part(const std::string& whole, uint32_t part, uint32_t parts,
                              const std::string& data) {
  orch::bus::v1::CrlUpdate update;
  update.set_digest(base::Sha256(whole));
  update.set_part(part);
  update.set_parts(parts);
  update.set_data(data);
  return update;
}

TEST(CrlParts, ComeTogetherInAnyOrder) {
  base::FakeClock clock;
  CrlParts parts;
  EXPECT_EQ(*parts.OnPart(Part("abcdef", 2, 3, "ef"), clock.Read()), "");
  EXPECT_EQ(*parts.OnPart(Part("abcdef", 0, 3, "ab"), clock.Read()), "");
  EXPECT_EQ(*parts.OnPart(Part("abcdef", 0, 3, "ab"), clock.Read()), "");  // twice
  EXPECT_EQ(*parts.OnPart(Part("abcdef", 1, 3, "cd"), clock.Read()), "abcdef");
  EXPECT_EQ(*parts.OnPart(Part("x", 0, 1, "x"), clock.Read()), "x");
}

TEST(CrlParts, AnotherCrlStartsAnew) {
  base::FakeClock clock;
  CrlParts parts;
  EXPECT_EQ(*parts.OnPart(Part("abcd", 0, 2, "ab"), clock.Read()), "");
  EXPECT_EQ(*parts.OnPart(Part("wxyz", 0, 2, "wx"), clock.Read()), "");
  EXPECT_EQ(*parts.OnPart(Part("abcd", 1, 2, "cd"), clock.Read()), "");
  EXPECT_EQ(*parts.OnPart(Part("abcd", 0, 2, "ab"), clock.Read()), "abcd");
}

TEST(CrlParts, OldPartsDoNotCount) {
  base::FakeClock clock;
  CrlParts parts;
  EXPECT_EQ(*parts.OnPart(Part("abcd", 0, 2, "ab"), clock.Read()), "");
  clock.Advance(kCrlPartsAge + absl::Seconds(1));
  EXPECT_EQ(*parts.OnPart(Part("abcd", 1, 2, "cd"), clock.Read()), "");
}

TEST(CrlParts, MustBeWhatTheDigestSays) {
  base::FakeClock clock;
  CrlParts parts;
  EXPECT_FALSE(parts.OnPart(Part("abcd", 0, 1, "abce"), clock.Read()).ok());
  EXPECT_EQ(*parts.OnPart(Part("abcd", 0, 1, "abcd"), clock.Read()), "abcd");
}

TEST(CrlParts, AreBounded) {
  base::FakeClock clock;
  CrlParts parts;
  EXPECT_FALSE(parts.OnPart(Part("x", 0, 0, "x"), clock.Read()).ok());
  EXPECT_FALSE(parts.OnPart(Part("x", 1, 1, "x"), clock.Read()).ok());
  EXPECT_FALSE(parts.OnPart(Part("x", 0, kCrlPartsMax + 1, "x"), clock.Read()).ok());
  EXPECT_FALSE(parts.OnPart(Part("x", 0, 1, ""), clock.Read()).ok());
  EXPECT_FALSE(parts.OnPart(Part("x", 0, 1, std::string(kCrlPartMax + 1, 'x')), clock.Read()).ok());
  auto no_digest = Part("x", 0, 1, "x");
  no_digest.set_digest("short");
  EXPECT_FALSE(parts.OnPart(no_digest, clock.Read()).ok());
}

}  // namespace
}  // namespace orch::nodeagent
