// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/node_calls.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <tuple>
#include <vector>

#include "absl/strings/str_split.h"
#include "target/known_calls.h"

namespace orch::nodeagent {
namespace {

using nlohmann::json;

const absl::Time kNow = absl::FromUnixSeconds(2'000'000'000);

class NodeCallsTest : public ::testing::Test {
 protected:
  NodeCallsTest() {
    std::string name = ::testing::TempDir() + "/node-calls-XXXXXX";
    root_ = std::filesystem::canonical(mkdtemp(name.data()));
    std::filesystem::create_directories(root_ / "open/sub");
    std::ofstream(root_ / "open/file") << "hello";
    std::ofstream(root_ / "secret") << "x";
  }
  ~NodeCallsTest() override { std::filesystem::remove_all(root_); }

  absl::StatusOr<json> Ask(const std::string& path, const std::string& field) {
    return AnswerFstat({root_ / "open"}, root_ / path, field, kNow);
  }
  absl::StatusCode CodeOf(const std::string& path, const std::string& field = "size") {
    return Ask(path, field).status().code();
  }

  std::filesystem::path root_;
};

TEST_F(NodeCallsTest, KnowsTheFieldsOfMcollective) {
  ASSERT_EQ(chmod((root_ / "open/file").c_str(), 0640), 0);
  EXPECT_EQ(*Ask("open/file", "mode"), "100640");
  EXPECT_EQ(*Ask("open/file", "name"), (root_ / "open/file").string());
  EXPECT_EQ(*Ask("open/file", "output"), "present");
  EXPECT_EQ(*Ask("open/file", "mtime"), *Ask("open/file", "mtime_seconds"));
  EXPECT_EQ(*Ask("open/file", "age"), *Ask("open/file", "mtime_age"));
  const absl::StatusOr<json> unknown = Ask("open/file", "nonsense");
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(unknown.status().message().find("sha256"), std::string::npos);
  EXPECT_EQ(*Ask("open/none", "output"), "not present");
  EXPECT_EQ(*Ask("open/none", "mode"), "0000");
  EXPECT_EQ(*Ask("open/none", "md5"), "");
  EXPECT_EQ(*Ask("open/file/below", "present"), 0);
}

TEST_F(NodeCallsTest, NothingLeadsOut) {
  std::filesystem::create_symlink(root_ / "secret", root_ / "open/link");
  std::filesystem::create_symlink("..", root_ / "open/up");
  std::filesystem::create_symlink(root_ / "nowhere", root_ / "open/dangling");
  std::filesystem::create_symlink("file", root_ / "open/inside");
  std::filesystem::create_symlink("loop", root_ / "open/loop");
  for (const char* path : {"open/link", "open/up/secret", "open/up/none", "open/../secret",
                           "open/sub/../../secret", "open/dangling", "secret", "opener"}) {
    EXPECT_EQ(CodeOf(path), absl::StatusCode::kPermissionDenied) << path;
    EXPECT_EQ(CodeOf(path, "md5"), absl::StatusCode::kPermissionDenied) << path;
  }
  EXPECT_EQ(*Ask("open/inside", "size"), 5);
  EXPECT_FALSE(Ask("open/loop", "size").ok());
  EXPECT_EQ(AnswerFstat({root_}, "open/file", "size", kNow).status().code(),
            absl::StatusCode::kPermissionDenied)
      << "not from the root";
  EXPECT_EQ(
      AnswerFstat({root_}, root_.string() + "/secret" + '\0' + "/x", "size", kNow).status().code(),
      absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(AnswerFstat({}, root_ / "secret", "size", kNow).status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(NodeCallsTest, NeitherAFifoNorADirectoryIsRead) {
  ASSERT_EQ(mkfifo((root_ / "open/fifo").c_str(), 0600), 0);
  EXPECT_EQ(*Ask("open/fifo", "type"), "fifo");
  EXPECT_EQ(*Ask("open/fifo", "md5"), "");
  EXPECT_EQ(*Ask("open/sub", "type"), "directory");
  EXPECT_EQ(*Ask("open/sub", "sha256"), "");
}

TEST_F(NodeCallsTest, ALargeFileHasASizeButNoDigest) {
  std::filesystem::resize_file(root_ / "open/file", kFstatHashMax + 1);
  EXPECT_EQ(*Ask("open/file", "size"), kFstatHashMax + 1);
  EXPECT_EQ(CodeOf("open/file", "md5"), absl::StatusCode::kResourceExhausted);
  std::filesystem::resize_file(root_ / "open/file", kFstatHashMax);
  EXPECT_EQ(Ask("open/file", "md5")->get<std::string>().size(), 32u);
}

TEST_F(NodeCallsTest, ResourcesComeFromTheLastCatalog) {
  PuppetPaths paths;
  paths.resourcefile = root_ / "resources.txt";
  paths.lastrunfile = root_ / "summary.yaml";
  EXPECT_EQ(*AnswerResource(&paths, "File[/srv]", "managed", kNow), false);
  std::ofstream(paths.resourcefile) << "file[/srv]\nservice[a b]";
  EXPECT_EQ(*AnswerResource(&paths, "File[/srv]", "managed", kNow), true);
  EXPECT_EQ(*AnswerResource(&paths, "Service[a b]", "managed", kNow), true);
  EXPECT_EQ(*AnswerResource(&paths, "Service[a]", "managed", kNow), false);
  // Puppet lowers the whole reference, as Ruby does.
  std::ofstream(paths.resourcefile) << "file[/etc/networkmanager.conf]\nnotify[échelle]\n";
  EXPECT_EQ(*AnswerResource(&paths, "File[/etc/NetworkManager.conf]", "managed", kNow), true);
  EXPECT_EQ(*AnswerResource(&paths, "Notify[Échelle]", "managed", kNow), true);
  EXPECT_EQ(*AnswerResource(&paths, "Notify[Echelle]", "managed", kNow), false);
  EXPECT_EQ(*AnswerResource(&paths, "File[/srv]", "restarted_resources", kNow), 0);
  for (const char* bad : {"", "[x]", "File", "File[x", "/srv"}) {
    EXPECT_EQ(AnswerResource(&paths, bad, "managed", kNow).status().code(),
              absl::StatusCode::kInvalidArgument)
        << bad;
  }
  EXPECT_EQ(AnswerResource(nullptr, "File[/srv]", "managed", kNow).status().code(),
            absl::StatusCode::kNotFound);
  std::filesystem::remove(paths.resourcefile);
  ASSERT_EQ(mkfifo(paths.resourcefile.c_str(), 0600), 0);
  EXPECT_FALSE(AnswerResource(&paths, "File[/srv]", "managed", kNow).ok());
}

// What a file server does that is gone until it is back.
std::atomic<bool> server_is_gone{false};

absl::StatusOr<json> Hang(const std::vector<std::string>&, const std::string&, const std::string&,
                          absl::Time) {
  server_is_gone.wait(true);
  return json(1);
}

TEST_F(NodeCallsTest, AHangingFileSystemCostsTheAnswerNotTheStrand) {
  server_is_gone = true;
  FstatAside aside(Hang);
  const absl::Time start = absl::Now();
  EXPECT_EQ(aside.Answer({"/srv"}, "/srv/x", "size", kNow).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(aside.Answer({"/srv"}, "/srv/x", "size", kNow).status().code(),
              absl::StatusCode::kDeadlineExceeded);
  }
  EXPECT_LT(absl::Now() - start, 50 * kFstatPatience) << "only the first is waited for";
  server_is_gone = false;
  server_is_gone.notify_all();
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  FstatAside healthy;
  EXPECT_EQ(*healthy.Answer({root_ / "open"}, root_ / "open/file", "size", kNow), 5);
  while (absl::Now() < deadline) {
    if (aside.Answer({"/srv"}, "/srv/x", "size", kNow).ok()) return;
  }
  FAIL() << "it never recovered";
}

// Who stands in for a node must not refuse what it answers.
TEST_F(NodeCallsTest, EachFieldIsKnownToWhoStandsInForANode) {
  PuppetPaths paths;
  paths.lastrunfile = (root_ / "summary").string();
  paths.resourcefile = (root_ / "none").string();
  std::ofstream(paths.lastrunfile) << "version:\n  config: 1\ntime:\n  last_run: 1\n  total: 2\n"
                                      "  config_retrieval: 1\nresources:\n  total: 9\n";
  int fields = 0;
  for (const auto& [name, argument, refused] :
       {std::tuple("puppet", "", AnswerPuppet(&paths, "?", kNow).status()),
        std::tuple("resource", "File[/x]", AnswerResource(&paths, "File[/x]", "?", kNow).status()),
        std::tuple("fstat", "", Ask("open/file", "?").status())}) {
    ASSERT_EQ(refused.code(), absl::StatusCode::kNotFound) << refused;
    EXPECT_FALSE(target::CheckCall({name, argument, "?"}).ok());
    const std::vector<std::string> halves = absl::StrSplit(refused.message(), ", but ");
    ASSERT_EQ(halves.size(), 2u) << refused;
    for (const absl::string_view field : absl::StrSplit(halves[1], ", ")) {
      EXPECT_TRUE(target::CheckCall({name, argument, std::string(field)}).ok()) << name << field;
      fields++;
    }
  }
  EXPECT_GT(fields, 40);
}

}  // namespace
}  // namespace orch::nodeagent
