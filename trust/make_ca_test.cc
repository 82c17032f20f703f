// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstdio>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"

// What tools/make-ca makes is what Credentials take.

namespace orch::trust {
namespace {

class MakeCaTest : public ::testing::Test {
 protected:
  // Runs it with `arguments` behind the directory; the exit code, with the output in output_.
  int Run(const std::string& arguments) {
    const std::string command = absl::StrCat("tools/make-ca ", directory_, " ", arguments, " 2>&1");
    FILE* pipe = popen(command.c_str(), "r");
    output_.clear();
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) output_.append(buffer, n);
    return WEXITSTATUS(pclose(pipe));
  }
  absl::StatusOr<std::shared_ptr<Credentials>> Load(const std::string& name) {
    TrustConfig config;
    config.set_certificate(absl::StrCat(directory_, "/", name, ".pem"));
    config.set_private_key(absl::StrCat(directory_, "/", name, ".key"));
    config.set_ca(directory_ + "/ca.pem");
    config.set_crl(directory_ + "/crl.pem");
    return Credentials::Load(config, absl::Now());
  }
  void ExpectRole(const std::string& name, Role role) {
    const auto loaded = Load(name);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ((*loaded)->self().common_name, name);
    EXPECT_EQ((*loaded)->self().role, role);
  }

  const std::string directory_ = orch::testing::NewTestDirectory() + "/ca";
  std::string output_;
};

TEST_F(MakeCaTest, MakesEveryRole) {
  ASSERT_EQ(Run("--controller ops1 --user alice --user bob@example.com --node node1.example.com "
                "--broker broker1/IP:127.0.0.2"),
            0)
      << output_;
  ExpectRole("ops1", Role::kController);
  ExpectRole("alice", Role::kUser);
  ExpectRole("bob@example.com", Role::kUser);
  ExpectRole("node1.example.com", Role::kNode);
  ExpectRole("broker1", Role::kNode);
  struct stat info = {};
  ASSERT_EQ(stat((directory_ + "/ops1.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(MakeCaTest, AddsToACaAndKeepsWhatIsThere) {
  ASSERT_EQ(Run("--node node1"), 0) << output_;
  const std::string before = *base::ReadFile(directory_ + "/node1.pem");
  ASSERT_EQ(Run("--node node1 --node node2 --rsa --days 3"), 0) << output_;
  EXPECT_EQ(*base::ReadFile(directory_ + "/node1.pem"), before);
  ExpectRole("node2", Role::kNode);
  EXPECT_LT((*Load("node2"))->certificate_end(), absl::Now() + absl::Hours(73));
}

TEST_F(MakeCaTest, Revokes) {
  ASSERT_EQ(Run("--node node1 --node node2"), 0) << output_;
  const auto node2 = *Load("node2");
  ASSERT_EQ(Run("--revoke node1"), 0) << output_;
  EXPECT_TRUE(absl::StrContains(Load("node1").status().message(), "revoked by"))
      << Load("node1").status();
  EXPECT_TRUE(*node2->Reload(absl::Now()));
  EXPECT_EQ(node2->CrlNumbers()[0].second, "2");
  EXPECT_EQ(Run("--revoke node1"), 0) << output_;
  EXPECT_FALSE(*node2->Reload(absl::Now())) << "once is enough";
  EXPECT_EQ(Run("--revoke nobody"), 1);
}

TEST_F(MakeCaTest, SaysWhatIsWrong) {
  for (const char* arguments :
       {"--node", "--node A", "--node ../x", "--node ca", "--broker 'b/x,DNS:*'",
        "--days 0 --node a", "--frobnicate", "second"}) {
    EXPECT_EQ(Run(arguments), 64) << arguments;
    EXPECT_TRUE(absl::StartsWith(output_, "make-ca: ")) << output_;
  }
  EXPECT_EQ(Run("--help"), 0);
  EXPECT_TRUE(absl::StartsWith(output_, "Usage: tools/make-ca DIR"));
}

}  // namespace
}  // namespace orch::trust
