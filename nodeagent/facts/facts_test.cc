// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/facts.h"

#include "base/config.h"
#include "nodeagent/facts/facts_fixture.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

TEST_F(FactsTest, NothingIsKnownBeforeTheFirstReading) {
  Open();
  EXPECT_EQ(facts_->facts(), nullptr);
  EXPECT_EQ(facts_->classes(), nullptr);
  EXPECT_EQ(facts_->read_time(), absl::InfinitePast());
  EXPECT_EQ(facts_->identity(), "node1");
  EXPECT_EQ(facts_->collectives(), (std::vector<std::string>{"main", "web"}));
  EXPECT_EQ(facts_->json(), "{}");
}

TEST_F(FactsTest, LaterSourcesWin) {
  Facter("echo '{\"a\": \"facter\", \"b\": \"facter\", \"c\": {\"d\": 1}}'");
  Write("one.json", "{\"b\": \"file\", \"e\": \"file\"}");
  config_.add_sources()->set_file(directory_ + "/one.json");
  FactSource* const program = config_.add_sources();
  Script("program", "echo \"args=$1 $2\"; echo home=$HOME");
  program->add_program(directory_ + "/program");
  program->add_program("a b");
  program->add_program("$(c)");
  FactSource* const ohai = config_.add_sources();
  Script("ohai", "echo '{\"c\": \"linux\"}'");
  ohai->set_ohai(directory_ + "/ohai");
  ohai->set_below("chef");
  Write("facts.d/10.yaml", "e: yaml\nversion: 1.10\nquoted: \"7\"\nlist: [1, two, ~]\nyes: true\n");
  Write("facts.d/20.txt", "# comment\nb=text\nf = spaces kept inside \n");
  Script("facts.d/15", "echo run: {b: [1, 2.5]}; echo e: run");
  Write("facts.d/ignored.sh", "exit 1");
  Start();
  const Json& facts = *facts_->facts();
  EXPECT_EQ(facts.at("a"), "facter");
  EXPECT_EQ(facts.at("b"), "file") << "in the order of the configuration";
  EXPECT_EQ(facts.at("c").at("d"), 1);
  EXPECT_EQ(facts.at("chef").at("c"), "linux");
  EXPECT_EQ(facts.at("e"), "file");
  EXPECT_EQ(facts.at("f"), "spaces kept inside");
  EXPECT_EQ(facts.at("quoted"), "7");
  EXPECT_EQ(facts.at("run").at("b"), Json({1, 2.5}));
  EXPECT_EQ(facts.at("list"), Json({1, "two", nullptr}));
  EXPECT_EQ(facts.at("yes"), true);
  EXPECT_EQ(facts.at("args"), "a b $(c)") << "no shell";
  EXPECT_EQ(Json::parse(facts_->json()), facts);
  EXPECT_EQ(facts_->digest().size(), 32u);
  EXPECT_TRUE(facts_->errors().empty());
  EXPECT_EQ(facts_->origins().at("a"), "facter");
  EXPECT_EQ(facts_->origins().at("run"), directory_ + "/facts.d/15");
  EXPECT_EQ(facts_->origins().at("b"), directory_ + "/one.json");
  EXPECT_EQ(facts_->origins().at("chef"), "ohai");
}

TEST_F(FactsTest, ClassesComeFromPuppetAndFromFiles) {
  std::ofstream(puppet_.classfile()) << "settings\nnginx\nnginx\n";
  Write("classes", "site::role\n\n# no\nrole[web]\n");
  config_.add_class_files(directory_ + "/classes");
  Start();
  EXPECT_EQ(*facts_->classes(),
            (std::vector<std::string>{"nginx", "role.web", "role[web]", "settings", "site::role"}));
}

TEST_F(FactsTest, ClassesStayWhilePuppetDoesNotSayWhereTheyAre) {
  const std::string classes = directory_ + "/classes.txt";
  std::ofstream(classes) << "role::db\n";
  const auto puppet = [&](const std::string& stamp) {
    std::string settings = "[ -e " + directory_ + "/broken ] && { echo broken >&2; exit 1; }\n";
    for (const char* name :
         {"config", "agent_disabled_lockfile", "agent_catalog_run_lockfile", "pidfile",
          "lastrunfile", "lastrunreport", "resourcefile", "runtimeout"}) {
      settings += "echo " + std::string(name) + " = " + directory_ + "/none\n";
    }
    Script("puppet", settings + "echo classfile = " + classes + "\n# " + stamp + "\n");
  };
  puppet("one");
  puppet_.Clear();
  puppet_.set_program(directory_ + "/puppet");
  Start();
  EXPECT_EQ(*facts_->classes(), std::vector<std::string>{"role::db"});
  ASSERT_TRUE(Until([&] { return base::ReadFile(directory_ + "/cache.json").ok(); }));
  // Another Puppet: what it said of before is forgotten.
  Write("broken", "");
  puppet("another one");
  Start();
  EXPECT_EQ(*facts_->classes(), std::vector<std::string>{"role::db"});
  EXPECT_NE(ErrorOf("classes").find("broken"), std::string::npos) << ErrorOf("classes");
  std::filesystem::remove(directory_ + "/broken");
  clock_.Advance(absl::Seconds(31));
  std::ofstream(classes) << "role::web\n";
  Write("facts.d/a.txt", "a=1\n");  // wakes the timer, whose clock is another
  ASSERT_TRUE(Until([&] {
    return *facts_->classes() == std::vector<std::string>{"role::web"} && facts_->errors().empty();
  }));
}

// Nobody asks: that is the point of it.
TEST_F(FactsTest, AChangedFileIsSeenByItself) {
  Start();
  const auto took = [this](const std::function<bool()>& condition) {
    const absl::Time begin = absl::Now();
    EXPECT_TRUE(Until(condition));
    return absl::Now() - begin;
  };
  const std::string digest = facts_->digest();
  Write("facts.d/role.txt", "role=db\n");
  EXPECT_LT(took([&] { return Has("role"); }), absl::Seconds(5));
  EXPECT_NE(facts_->digest(), digest);
  // Written in place, as `echo >` does.
  std::ofstream(directory_ + "/facts.d/role.txt") << "role=web\n";
  took([&] { return facts_->facts()->at("role") == "web"; });
  Script("facts.d/run", "echo site=fra");
  took([&] { return Has("site"); });
  Script("facts.d/run", "echo site=ber");
  took([&] { return facts_->facts()->at("site") == "ber"; });
  std::ofstream(puppet_.classfile()) << "nginx\n";
  took([&] { return *facts_->classes() == std::vector<std::string>{"nginx"}; });
  std::filesystem::remove(directory_ + "/facts.d/role.txt");
  took([&] { return !Has("role"); });
  std::filesystem::rename(directory_ + "/facts.d", directory_ + "/facts.old");
  took([&] { return ErrorOf(directory_ + "/facts.d") != ""; });
  EXPECT_TRUE(Has("site")) << "the last good ones stay";
  std::filesystem::create_directories(directory_ + "/facts.d");
  took([&] { return !Has("site") && facts_->errors().empty(); });
  Write("facts.d/again.json", "{\"again\": true}");
  took([&] { return Has("again"); });
}

TEST_F(FactsTest, ASourceThatFailsKeepsItsLastGoodFacts) {
  Write("facts.d/a.yaml", "a: 1\n");
  Write("facts.d/b.yaml", "b: 1\n");
  Start();
  Write("facts.d/a.yaml", "a: [\n");
  Write("facts.d/b.yaml", "b: 2\n");
  ASSERT_TRUE(Until([&] { return !facts_->errors().empty() && facts_->facts()->at("b") == 2; }));
  EXPECT_EQ(facts_->facts()->at("a"), 1) << "while the others go on";
  ASSERT_EQ(facts_->errors().size(), 1u);
  EXPECT_EQ(facts_->errors()[0].source(), directory_ + "/facts.d/a.yaml");
  EXPECT_EQ(facts_->errors()[0].message().rfind("not YAML: line ", 0), 0u);
  EXPECT_NE(facts_->errors()[0].since().seconds(), 0);
  // Over a restart too.
  Start();
  EXPECT_EQ(facts_->facts()->at("a"), 1);
  EXPECT_EQ(facts_->errors().size(), 1u);
  std::filesystem::remove(directory_ + "/facts.d/a.yaml");
  ASSERT_TRUE(Until([&] { return !Has("a"); }));
  EXPECT_TRUE(facts_->errors().empty());
}

TEST_F(FactsTest, AFileThatWasBrokenJustNowIsBrokenAtTheFirstReadingToo) {
  Write("facts.d/a.yaml", "a: [\n");
  Write("facts.d/b.yaml", "b: 1\n");
  Start();
  EXPECT_TRUE(Has("b"));
  EXPECT_NE(ErrorOf(directory_ + "/facts.d/a.yaml"), "");
}

TEST_F(FactsTest, ARestartHasTheFactsAtOnceAndFacterRestsMeanwhile) {
  Facter("echo x >>" + directory_ + "/ran; echo '{\"a\": 1}'");
  std::ofstream(puppet_.classfile()) << "nginx\n";
  Start();
  const std::string digest = facts_->digest();
  ASSERT_TRUE(Until([&] { return base::ReadFile(directory_ + "/cache.json").ok(); }));
  Open();
  ASSERT_NE(facts_->facts(), nullptr);
  EXPECT_EQ(facts_->facts()->at("a"), 1);
  EXPECT_EQ(*facts_->classes(), std::vector<std::string>{"nginx"});
  EXPECT_EQ(facts_->digest(), digest);
  facts_->Start([this] { changes_++; });
  Write("facts.d/new.txt", "b=2\n");
  ASSERT_TRUE(Until([&] { return Has("b"); }));
  EXPECT_EQ(*base::ReadFile(directory_ + "/ran"), "x\n");
  clock_.Advance(absl::Hours(1));
  Open();
  facts_->Start([] {});
  ASSERT_TRUE(Until([&] { return *base::ReadFile(directory_ + "/ran") == "x\nx\n"; }));
}

TEST_F(FactsTest, ADamagedCacheIsPassedOver) {
  for (const char* cache : {"", "{\"facts_cache\":1", "\x80", "[]"}) {
    std::ofstream(directory_ + "/cache.json") << cache;
    Open();
    EXPECT_EQ(facts_->facts(), nullptr) << cache;
  }
  Write("facts.d/a.txt", "a=1\n");
  Start();
  EXPECT_TRUE(Has("a"));
}

TEST_F(FactsTest, VolatileFactsAreNoNews) {
  Write("facts.d/a.json",
        R"({"uptime": "1 day", "mountpoints": {"/": {"available": "1 GiB", "size": "2 GiB"}}})");
  Start();
  const std::string digest = facts_->digest();
  Write("facts.d/a.json",
        R"({"uptime": "2 days", "mountpoints": {"/": {"available": "0 B", "size": "2 GiB"}}})");
  ASSERT_TRUE(Until([&] { return facts_->facts()->at("uptime") == "2 days"; }));
  EXPECT_EQ(facts_->digest(), digest);
  EXPECT_EQ(changes_, 1);
  Write("facts.d/a.json", R"({"mountpoints": {"/": {"size": "3 GiB"}}})");
  ASSERT_TRUE(Until([&] { return changes_ == 2; }));
  EXPECT_NE(facts_->digest(), digest);
}

TEST_F(FactsTest, TooManyFactsAreNotTaken) {
  config_.set_max_bytes(1000);
  Write("facts.d/a.txt", "a=1\n");
  Start();
  Write("facts.d/b.txt", "b=" + std::string(600, 'x') + "\n");
  ASSERT_TRUE(Until([&] { return Has("b"); }));
  Write("facts.d/c.txt", "c=" + std::string(600, 'x') + "\n");
  ASSERT_TRUE(Until([&] { return !facts_->errors().empty(); }));
  EXPECT_FALSE(Has("c"));
  EXPECT_EQ(ErrorOf(directory_ + "/facts.d/c.txt"),
            "608 bytes of facts: with the 616 of what comes before them more than the 1,000 that "
            "are permitted");
  std::filesystem::remove(directory_ + "/facts.d/b.txt");
  ASSERT_TRUE(Until([&] { return Has("c") && !Has("b"); })) << "now there is room";
  EXPECT_TRUE(facts_->errors().empty());
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
  std::ofstream(puppet_.resourcefile()) << "file[/srv]\nfoo::bar[a title]\n";
  Start();
  EXPECT_EQ(*Ask("resource", "File[/srv]", "managed"), true);
  EXPECT_EQ(*Ask("resource", "Foo::Bar[A title]", "managed"), true);
  EXPECT_EQ(*Ask("resource", "File[/SRV]", "managed"), true) << "Puppet lowers titles too";
  EXPECT_EQ(*Ask("resource", "File[/srv2]", "managed"), false);
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
