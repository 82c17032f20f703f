// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/text/plain_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <vector>

namespace orch::nodeagent {
namespace {

class PlainFileTest : public testing::Test {
 protected:
  PlainFileTest() : path_(testing::TempDir() + "/plain_file_test") { unlink(path_.c_str()); }
  void Write(const std::string& text) { std::ofstream(path_) << text; }
  std::vector<std::string> Lines(size_t line_max, uint64_t bytes_max = 1 << 20) {
    PlainLines lines(*PlainFile::Open(path_), line_max, bytes_max);
    std::vector<std::string> out;
    for (std::string line; lines.Next(&line);) out.push_back(line);
    left_out_ = lines.left_out();
    return out;
  }
  const std::string path_;
  uint64_t left_out_ = 0;
};

TEST_F(PlainFileTest, ReadsNoMoreThanItsBound) {
  Write("four");
  EXPECT_EQ(*ReadPlainFile(path_, 4), "four");
  EXPECT_TRUE(absl::IsResourceExhausted(ReadPlainFile(path_, 3).status()));
  EXPECT_EQ(*PlainFile::Open(path_)->Read(1, 2), "ou");
  EXPECT_EQ(*PlainFile::Open(path_)->Read(4, 2), "");
  EXPECT_TRUE(absl::IsNotFound(ReadPlainFile(path_ + ".none", 4).status()));
}

TEST_F(PlainFileTest, OnlyARegularFileIsRead) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPlainFile(path_, 4).status()));  // and does not wait
  unlink(path_.c_str());
  std::filesystem::create_symlink("/etc/passwd", path_);
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPlainFile(path_, 1 << 20).status()));
  unlink(path_.c_str());
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPlainFile("/dev/zero", 4).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(ReadPlainFile("/tmp", 4).status()));
}

TEST_F(PlainFileTest, LinesAreBoundedEach) {
  using Strings = std::vector<std::string>;
  Write("a\n\nbb\ncccc\nd");
  EXPECT_EQ(Lines(3), (Strings{"a", "", "bb", "d"}));
  EXPECT_EQ(left_out_, 1u);
  EXPECT_EQ(Lines(3, 4), (Strings{"a", "", "b"}));
  Write(std::string(200'000, 'x') + "\nend\n" + std::string(200'000, 'y'));
  EXPECT_EQ(Lines(100), Strings{"end"});
  EXPECT_EQ(left_out_, 2u);
  EXPECT_EQ(Lines(200'000).size(), 3u);
  Write("");
  EXPECT_EQ(Lines(3), Strings{});
}

}  // namespace
}  // namespace orch::nodeagent
