// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <boost/asio/thread_pool.hpp>
#include <filesystem>
#include <fstream>

#include "base/config.h"
#include "nodeagent/fact_files.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

class FactsTest : public testing::Test {
 protected:
  FactsTest() {
    std::string pattern = testing::TempDir() + "factsXXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::filesystem::create_directories(directory_ + "/facts.d");
    for (std::string* path :
         {puppet_.mutable_agent_disabled_lockfile(), puppet_.mutable_agent_catalog_run_lockfile(),
          puppet_.mutable_pidfile(), puppet_.mutable_lastrunfile(), puppet_.mutable_lastrunreport(),
          puppet_.mutable_classfile(), puppet_.mutable_resourcefile()}) {
      *path = directory_ + "/puppet" + std::to_string(files_++);
    }
    puppet_.mutable_runtimeout()->set_seconds(60);
    config_.set_facter("none");
    config_.add_directories(directory_ + "/facts.d");
  }
  ~FactsTest() override {
    facts_.reset();
    worker_.join();
    std::filesystem::remove_all(directory_);
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name) << text;
  }
  void Facter(const std::string& script) {
    Write("facter", "#!/bin/sh\n" + script);
    chmod((directory_ + "/facter").c_str(), 0755);
    config_.set_facter(directory_ + "/facter");
  }
  void Open() {
    facts_.reset();
    paths_ = std::make_unique<PuppetPathsFinder>(strand_, &clock_, puppet_, directory_ + "/paths");
    facts_ = std::make_unique<Facts>(FactsParts{strand_,
                                                worker_.get_executor(),
                                                &clock_,
                                                paths_.get(),
                                                config_,
                                                directory_ + "/cache.json",
                                                "node1",
                                                {"web", "main"}});
  }
  bool Until(const std::function<bool()>& condition) {
    const absl::Time limit = absl::Now() + absl::Seconds(10);
    while (!condition()) {
      if (absl::Now() > limit) return false;
      io_.restart();
      io_.run_for(std::chrono::milliseconds(2));
    }
    return true;
  }
  void Start() {
    Open();
    changes_ = 0;
    facts_->Start([this] { changes_++; });
    ASSERT_TRUE(Until([&] { return changes_ > 0; }));
  }
  void Refresh() {
    const int before = changes_;
    facts_->Refresh();
    ASSERT_TRUE(Until([&] { return changes_ > before; }));
  }
  absl::StatusOr<Json> Ask(const std::string& name, const std::string& argument,
                           const std::string& field) const {
    return facts_->Answer({name, argument, field});
  }

  std::string directory_;
  int files_ = 0;
  PuppetConfig puppet_;
  FactsConfig config_;
  base::FakeClock clock_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  base::asio::thread_pool worker_{1};
  std::unique_ptr<PuppetPathsFinder> paths_;
  std::unique_ptr<Facts> facts_;
  int changes_ = 0;
};

TEST_F(FactsTest, NothingIsKnownBeforeTheFirstReading) {
  Open();
  EXPECT_EQ(facts_->facts(), nullptr);
  EXPECT_EQ(facts_->classes(), nullptr);
  EXPECT_EQ(facts_->read_time(), absl::InfinitePast());
  EXPECT_EQ(facts_->identity(), "node1");
  EXPECT_EQ(facts_->collectives(), (std::vector<std::string>{"main", "web"}));
}

TEST_F(FactsTest, LaterSourcesWin) {
  Facter("echo '{\"a\": \"facter\", \"b\": \"facter\", \"c\": {\"d\": 1}}'");
  Write("one.json", "{\"b\": \"file\", \"e\": \"file\"}");
  config_.add_files(directory_ + "/one.json");
  Write("facts.d/10.yaml", "e: yaml\nversion: 1.10\nquoted: \"7\"\nlist: [1, two, ~]\nyes: true\n");
  Write("facts.d/20.txt", "# comment\ne=text\nf = spaces kept inside \n");
  Write("facts.d/ignored.sh", "exit 1");
  Start();
  const Json& facts = *facts_->facts();
  EXPECT_EQ(facts.at("a"), "facter");
  EXPECT_EQ(facts.at("b"), "file");
  EXPECT_EQ(facts.at("c").at("d"), 1);
  EXPECT_EQ(facts.at("e"), "text");
  EXPECT_EQ(facts.at("f"), "spaces kept inside");
  EXPECT_EQ(facts.at("quoted"), "7");
  EXPECT_EQ(facts.at("list"), Json({1, "two", nullptr}));
  EXPECT_EQ(facts.at("yes"), true);
  EXPECT_EQ(Json::parse(facts_->json()), facts);
  EXPECT_EQ(facts_->digest().size(), 32u);
  EXPECT_TRUE(facts_->errors().empty());
}

TEST_F(FactsTest, ClassesComeFromPuppetAndFromFiles) {
  std::ofstream(puppet_.classfile()) << "settings\nnginx\nnginx\n";
  Write("classes", "site::role\n\n# no\n");
  config_.add_class_files(directory_ + "/classes");
  Start();
  EXPECT_EQ(*facts_->classes(), (std::vector<std::string>{"nginx", "settings", "site::role"}));
}

TEST_F(FactsTest, ASourceThatFailsKeepsItsLastGoodFacts) {
  Write("facts.d/a.yaml", "a: 1\n");
  Write("facts.d/b.yaml", "b: 1\n");
  Start();
  Write("facts.d/a.yaml", "a: [\n");
  Write("facts.d/b.yaml", "b: 2\n");
  Refresh();
  EXPECT_EQ(facts_->facts()->at("a"), 1);
  EXPECT_EQ(facts_->facts()->at("b"), 2) << "the others go on";
  ASSERT_EQ(facts_->errors().size(), 1u);
  EXPECT_EQ(facts_->errors()[0].source(), directory_ + "/facts.d/a.yaml");
  EXPECT_NE(facts_->errors()[0].message(), "");
  EXPECT_NE(facts_->errors()[0].since().seconds(), 0);
  std::filesystem::remove(directory_ + "/facts.d/a.yaml");
  Refresh();
  EXPECT_FALSE(facts_->facts()->contains("a"));
  EXPECT_TRUE(facts_->errors().empty());
}

TEST_F(FactsTest, FacterThatFailsHangsOrBabblesIsNamed) {
  Facter("echo '{\"a\": 1}'");
  Start();
  for (const char* script : {"echo broken >&2; exit 1", "echo no JSON", "sleep 600", "yes"}) {
    Facter("echo '{\"a\": 1}'");
    config_.mutable_facter_timeout()->set_nanos(300'000'000);
    std::filesystem::remove(directory_ + "/cache.json");
    Start();
    ASSERT_TRUE(facts_->errors().empty());
    Facter(script);
    Refresh();
    EXPECT_EQ(facts_->facts()->at("a"), 1) << script;
    ASSERT_EQ(facts_->errors().size(), 1u) << script;
    EXPECT_EQ(facts_->errors()[0].source(), "facter");
  }
}

TEST_F(FactsTest, ARestartHasTheFactsAtOnceAndFacterRestsMeanwhile) {
  Facter("echo x >>" + directory_ + "/ran; echo '{\"a\": 1}'");
  std::ofstream(puppet_.classfile()) << "nginx\n";
  Start();
  const std::string digest = facts_->digest();
  Open();
  ASSERT_NE(facts_->facts(), nullptr);
  EXPECT_EQ(facts_->facts()->at("a"), 1);
  EXPECT_EQ(*facts_->classes(), std::vector<std::string>{"nginx"});
  EXPECT_EQ(facts_->digest(), digest);
  facts_->Start([this] { changes_++; });
  Write("facts.d/new.txt", "b=2\n");
  ASSERT_TRUE(Until([&] { return facts_->facts()->contains("b"); }));
  EXPECT_EQ(*base::ReadFile(directory_ + "/ran"), "x\n");
  clock_.Advance(absl::Hours(1));
  Open();
  facts_->Start([] {});
  ASSERT_TRUE(Until([&] { return *base::ReadFile(directory_ + "/ran") == "x\nx\n"; }));
}

TEST_F(FactsTest, VolatileFactsAreNoNews) {
  Write("facts.d/a.json",
        R"({"uptime": "1 day", "mountpoints": {"/": {"available": "1 GiB", "size": "2 GiB"}}})");
  Start();
  const std::string digest = facts_->digest();
  Write("facts.d/a.json",
        R"({"uptime": "2 days", "mountpoints": {"/": {"available": "0 B", "size": "2 GiB"}}})");
  facts_->Refresh();
  ASSERT_TRUE(Until([&] { return facts_->facts()->at("uptime") == "2 days"; }));
  EXPECT_EQ(facts_->digest(), digest);
  EXPECT_EQ(changes_, 1);
  Write("facts.d/a.json", R"({"mountpoints": {"/": {"size": "3 GiB"}}})");
  Refresh();
  EXPECT_NE(facts_->digest(), digest);
}

TEST_F(FactsTest, TooManyFactsAreNotTaken) {
  config_.set_max_bytes(1000);
  Write("facts.d/a.txt", "a=1\n");
  Start();
  Write("facts.d/b.txt", "b=" + std::string(600, 'x') + "\n");
  Write("facts.d/c.txt", "c=" + std::string(600, 'x') + "\n");
  Refresh();
  EXPECT_EQ(facts_->json(), "{\"a\":\"1\"}");
  EXPECT_EQ(facts_->errors().at(0).source(), "facts");
}

TEST_F(FactsTest, ADamagedCacheIsNotUsed) {
  for (const char* text : {"", "{}", "[]", "{\"facts\": \"[]\"}", "{\"facts\": 7}"}) {
    Write("cache.json", text);
    Open();
    EXPECT_EQ(facts_->facts(), nullptr) << text;
  }
}

TEST_F(FactsTest, HostileFilesAreErrors) {
  std::string bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'j'; c++) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; i++) bomb += std::string("*") + static_cast<char>(c - 1) + ",";
    bomb += "]\n";
  }
  EXPECT_FALSE(ParseYamlFacts(bomb).ok());
  EXPECT_FALSE(ParseYamlFacts(std::string(10'000, '[')).ok());
  EXPECT_FALSE(ParseYamlFacts("a: 1\na: 2\n").ok());
  EXPECT_FALSE(ParseYamlFacts("? [1]\n: 2\n").ok());
  Write("latin.txt", "a=\xe9\n");
  Write("list.json", "[1]");
  Write("deep.json", "{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}");
  for (const char* name : {"latin.txt", "list.json", "deep.json", "absent.json"}) {
    EXPECT_FALSE(ReadFactsFile(directory_ + "/" + name, 1 << 20).ok()) << name;
  }
  EXPECT_FALSE(ReadFactsFile(directory_ + "/list.json", 2).ok());
}

TEST_F(FactsTest, PuppetAnswersInMCollectivesNames) {
  std::ofstream(puppet_.lastrunfile())
      << "version:\n  config: 42\n  puppet: 7\napplication:\n  converged_environment: prod\n"
         "resources:\n  failed: 3\n  changed: 2\n  total: 9\ntime:\n  last_run: 1799999900\n";
  Start();
  EXPECT_EQ(*Ask("puppet", "", "enabled"), true);
  EXPECT_EQ(*Ask("puppet", "", "applying"), false);
  EXPECT_EQ(*Ask("puppet", "", "status"), "stopped");
  EXPECT_EQ(*Ask("puppet", "", "lastrun"), 1'799'999'900);
  EXPECT_EQ(*Ask("puppet", "", "last_run"), 1'799'999'900);
  EXPECT_EQ(*Ask("puppet", "", "since_lastrun"), 100);
  EXPECT_EQ(*Ask("puppet", "", "failed_resources"), 3);
  EXPECT_EQ(*Ask("puppet", "", "changed_resources"), 2);
  EXPECT_EQ(*Ask("puppet", "", "environment"), "prod");
  EXPECT_EQ(Ask("puppet", "", "nonsense").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(Ask("nonsense", "", "x").ok());
  std::ofstream(puppet_.lastrunfile()) << "version: cut of";
  EXPECT_EQ(Ask("puppet", "", "failed_resources").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(*Ask("puppet", "", "enabled"), true);
}

TEST_F(FactsTest, ManagedResources) {
  std::ofstream(puppet_.resourcefile()) << "file[/srv]\nfoo::bar[A title]\n";
  Start();
  EXPECT_EQ(*Ask("resource", "File[/srv]", "managed"), true);
  EXPECT_EQ(*Ask("resource", "Foo::Bar[A title]", "managed"), true);
  EXPECT_EQ(*Ask("resource", "File[/SRV]", "managed"), false);
  EXPECT_EQ(*Ask("resource", "File[/srv]", "total_resources"), 0);
  EXPECT_FALSE(Ask("resource", "/srv", "managed").ok());
}

TEST_F(FactsTest, FstatBelowItsPathsOnly) {
  std::filesystem::create_directories(directory_ + "/open/sub");
  Write("open/sub/file", "hello");
  Write("secret", "x");
  std::filesystem::create_symlink(directory_ + "/secret", directory_ + "/open/link");
  Start();
  EXPECT_FALSE(Ask("fstat", directory_ + "/open/sub/file", "size").ok()) << "none by default";
  config_.add_fstat_paths(directory_ + "/open");
  Open();
  const std::string file = directory_ + "/open/sub/file";
  EXPECT_EQ(*Ask("fstat", file, "size"), 5);
  EXPECT_EQ(*Ask("fstat", file, "present"), 1);
  EXPECT_EQ(*Ask("fstat", file, "type"), "file");
  EXPECT_EQ(*Ask("fstat", file, "md5"), "5d41402abc4b2a76b9719d911017c592");
  EXPECT_EQ(*Ask("fstat", file, "sha256"),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
  EXPECT_EQ(*Ask("fstat", directory_ + "/open/none", "present"), 0);
  EXPECT_EQ(*Ask("fstat", directory_ + "/open", "type"), "directory");
  for (const std::string& path :
       {directory_ + "/secret", directory_ + "/open/../secret", directory_ + "/open/link",
        directory_ + "/opener", std::string("open/sub/file"), std::string(), std::string("/")}) {
    EXPECT_EQ(Ask("fstat", path, "size").status().code(), absl::StatusCode::kPermissionDenied)
        << path;
  }
}

}  // namespace
}  // namespace orch::nodeagent
