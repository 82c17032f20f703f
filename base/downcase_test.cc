// SPDX-License-Identifier: Apache-2.0
#include "base/downcase.h"

#include <gtest/gtest.h>

namespace orch::base {
namespace {

TEST(DowncaseTest, IsThatOfRuby) {
  // Each pair is what `ruby -e 'puts ARGV[0].downcase'` printed.
  EXPECT_EQ(Downcase("File[/etc/NetworkManager.conf]"), "file[/etc/networkmanager.conf]");
  EXPECT_EQ(Downcase("ÀÉÖØÞß×÷"), "àéöøþß×÷");
  EXPECT_EQ(Downcase("ĀĂŁŹŸ"), "āăłźÿ");
  EXPECT_EQ(Downcase("ΑΣ ЖЯЁ Ա"), "ασ жяё ա");
  EXPECT_EQ(Downcase("İI"), "i̇i");
  EXPECT_EQ(Downcase("ẞ K Å"), "ß k å");
  EXPECT_EQ(Downcase("𐐀日本語"), "𐐨日本語");
}

TEST(DowncaseTest, OtherBytesStay) {
  EXPECT_EQ(Downcase("A\xff\xc3"), "a\xff\xc3");
  EXPECT_EQ(Downcase(""), "");
}

}  // namespace
}  // namespace orch::base
