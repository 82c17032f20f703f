// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_paths.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace orch::nodeagent {
namespace {

class PuppetPathsTest : public testing::Test {
 protected:
  PuppetPathsTest() {
    std::string pattern = testing::TempDir() + "pathsXXXXXX";
    directory_ = mkdtemp(pattern.data());
    config_.set_program(std::filesystem::absolute("test/testing/fake_puppet/puppet"));
    config_.set_confdir(directory_);
    config_.set_vardir(directory_);
    std::ofstream(directory_ + "/puppet.conf") << "[agent]\n";
  }
  ~PuppetPathsTest() override {
    finder_.reset();
    std::filesystem::remove_all(directory_);
  }
  void Open() {
    finder_ =
        std::make_unique<PuppetPathsFinder>(strand_, &clock_, config_, directory_ + "/cache.json");
  }
  bool Until(const std::function<bool()>& condition) {
    const absl::Time limit = absl::Now() + absl::Seconds(10);
    while (!condition()) {
      if (absl::Now() > limit) return false;
      io_.restart();
      io_.run_for(std::chrono::milliseconds(5));
    }
    return true;
  }
  absl::StatusOr<std::shared_ptr<const PuppetPaths>> Get() {
    std::optional<absl::StatusOr<std::shared_ptr<const PuppetPaths>>> answer;
    finder_->Get([&](auto paths) { answer = paths; });
    EXPECT_TRUE(Until([&] { return answer.has_value(); }));
    return answer.value_or(absl::InternalError("no answer"));
  }

  std::string directory_;
  PuppetConfig config_;
  base::FakeClock clock_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  std::unique_ptr<PuppetPathsFinder> finder_;
};

TEST_F(PuppetPathsTest, PuppetIsAskedOnceAndItsAnswerKept) {
  Open();
  EXPECT_EQ(finder_->Known(), nullptr);
  const std::shared_ptr<const PuppetPaths> paths = *Get();
  EXPECT_EQ(paths->lastrunreport, directory_ + "/state/last_run_report.yaml");
  EXPECT_EQ(paths->runtimeout, absl::Hours(1));
  EXPECT_EQ(paths->flags,
            (std::vector<std::string>{"--confdir", directory_, "--vardir", directory_}));
  Open();
  ASSERT_NE(finder_->Known(), nullptr);
  EXPECT_EQ(finder_->Known()->lastrunreport, paths->lastrunreport);
}

TEST_F(PuppetPathsTest, AChangedPuppetConfIsAskedAboutAgain) {
  Open();
  const std::shared_ptr<const PuppetPaths> before = *Get();
  std::ofstream(directory_ + "/puppet.conf") << "[agent]\nruntimeout = 5\n";
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(finder_->Known(), before) << "the old answer stays until there is a new one";
  ASSERT_TRUE(Until([&] { return finder_->Known() != before; }));
  Open();
  std::ofstream(directory_ + "/puppet.conf") << "[agent]\nruntimeout = 7000\n";
  Open();
  const std::shared_ptr<const PuppetPaths> kept = finder_->Known();
  EXPECT_NE(*Get(), kept) << "Get waits for the new one";
}

TEST_F(PuppetPathsTest, AnUpgradedPuppetIsAskedAgain) {
  const std::string program = directory_ + "/puppet";
  std::filesystem::copy_file(config_.program(), program);
  config_.set_program(program);
  Open();
  const std::shared_ptr<const PuppetPaths> before = *Get();
  // As a package does it: another file under the same name, with a time of its own making.
  const auto time = std::filesystem::last_write_time(program);
  std::filesystem::copy_file(program, program + ".new");
  std::filesystem::last_write_time(program + ".new", time);
  std::filesystem::rename(program + ".new", program);
  EXPECT_EQ(finder_->Known(), before) << "looked at a moment ago";
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(finder_->Known(), before) << "the old answer stays until there is a new one";
  ASSERT_TRUE(Until([&] { return finder_->Known() != before; }));
}

TEST_F(PuppetPathsTest, OurConfigurationComesFirst) {
  config_.set_classfile("/mine");
  config_.mutable_runtimeout()->set_seconds(90);
  Open();
  EXPECT_EQ((*Get())->classfile, "/mine");
  EXPECT_EQ((*Get())->runtimeout, absl::Seconds(90));
}

TEST_F(PuppetPathsTest, WithAllConfiguredNobodyIsAsked) {
  config_.set_program("/nonexistent");
  for (std::string* path :
       {config_.mutable_agent_disabled_lockfile(), config_.mutable_agent_catalog_run_lockfile(),
        config_.mutable_pidfile(), config_.mutable_lastrunfile(), config_.mutable_lastrunreport(),
        config_.mutable_classfile(), config_.mutable_resourcefile()}) {
    *path = "/x";
  }
  config_.mutable_runtimeout()->set_seconds(90);
  Open();
  ASSERT_NE(finder_->Known(), nullptr);
  EXPECT_EQ(finder_->Known()->pidfile, "/x");
}

TEST_F(PuppetPathsTest, AFailureIsToldAndTriedAgainLater) {
  std::ofstream(directory_ + "/script.json") << "{\"config_print\": \"fails\"}";
  Open();
  const absl::Status status = Get().status();
  EXPECT_NE(status.message().find("no configuration"), absl::string_view::npos) << status;
  EXPECT_EQ(finder_->last_error(), status);
  std::ofstream(directory_ + "/script.json") << "{}";
  EXPECT_FALSE(Get().ok()) << "not asked again at once";
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(Get().ok());
  EXPECT_TRUE(finder_->last_error().ok());
}

TEST_F(PuppetPathsTest, ADamagedOrForeignCacheIsNotUsed) {
  for (const char* text : {"", "[]", "{\"key\": 7}", "{\"key\": \"x\", \"values\": {}}"}) {
    std::ofstream(directory_ + "/cache.json") << text;
    Open();
    EXPECT_EQ(finder_->Known(), nullptr) << text;
  }
  EXPECT_TRUE(Get().ok());
  config_.set_vardir(directory_ + "/other");
  Open();
  EXPECT_EQ(finder_->Known(), nullptr) << "other flags, other answers";
}

}  // namespace
}  // namespace orch::nodeagent
