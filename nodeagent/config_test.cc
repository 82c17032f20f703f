// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/config.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "base/proto_time.h"

namespace orch::nodeagent {
namespace {

constexpr char kGood[] = R"(controllers: [c1]
bus:
  brokers: ["broker1:61614"]
trust:
  certificate: /etc/c.pem
  private_key: /etc/k.pem
  ca: /etc/ca.pem
  crl: /etc/crl.pem
)";

std::string Error(const std::string& text) {
  const auto config = ParseConfig(text, "node.yaml");
  return config.ok() ? "none" : std::string(config.status().message());
}

TEST(Config, TheExampleIsGood) {
  const auto config = LoadConfig("deploy/nodeagent.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->controllers(0), "orch-controller.example.net");
  EXPECT_EQ(config->puppet().mode(), PUPPET_MODE_AGENT);
}

TEST(Config, FillsInDefaults) {
  const auto config = ParseConfig(kGood, "node.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->collectives_size(), 1);
  EXPECT_EQ(config->collectives(0), "main");
  EXPECT_EQ(config->state_dir(), "/var/lib/orch-nodeagent");
  EXPECT_EQ(config->run_dir(), "/run/orch-nodeagent");
  EXPECT_EQ(ToDuration(config->presence_interval()), absl::Minutes(5));
  EXPECT_EQ(ToDuration(config->result_retention()), absl::Hours(24));
  EXPECT_EQ(config->max_running(), 16u);
  ASSERT_EQ(config->facts().sources_size(), 2);
  EXPECT_EQ(config->facts().sources(0).facter(), "auto");
  EXPECT_EQ(config->facts().sources(1).directory(), "/etc/orch/facts.d");
}

TEST(Config, SortsCollectives) {
  const auto config = ParseConfig(absl::StrCat(kGood, "collectives: [web, dmz]\n"), "node.yaml");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->collectives(0), "dmz");
  EXPECT_EQ(config->collectives(1), "web");
}

struct Wrong {
  const char* added;  // to kGood
  const char* error;  // how it begins
};
class WrongConfigs : public testing::TestWithParam<Wrong> {};

TEST_P(WrongConfigs, NameFileAndField) {
  const std::string error = Error(absl::StrCat(kGood, GetParam().added));
  EXPECT_EQ(error.rfind(absl::StrCat("node.yaml:", GetParam().error), 0), 0u) << error;
}

const Wrong kWrong[] = {
    {"identity: Web1\n", " identity"},
    {"identity: -x\n", " identity"},
    {"collectives: [Main]\n", " collectives: \"Main\""},
    {"collectives: [a.b]\n", " collectives"},
    {"collectives: [a, a]\n", " collectives: a name stands there twice"},
    {"state_dir: var\n", " state_dir: \"var\" is not an absolute path"},
    {"run_dir: /var/lib/orch-nodeagent\n", " run_dir"},
    {"policy_file: p.yaml\n", " policy_file"},
    {"presence_interval: 9s\n", " presence_interval"},
    {"result_retention: 59m\n", " result_retention"},
    {"max_running: 1001\n", " max_running"},
    {"facts: {sources: [{name: x}]}\n", " facts.sources[0]: name one of facter"},
    {"facts: {sources: [{file: /a, directory: /b}]}\n", " facts.sources[0]: name only one"},
    {"facts: {sources: [{file: a.json}]}\n", " facts.sources[0].file: \"a.json\" is no absolute"},
    {"facts: {sources: [{program: [lsb_release]}]}\n",
     " facts.sources[0].program: \"lsb_release\""},
    {"facts: {sources: [{program: []}]}\n", " facts.sources[0]: name one of"},
    {"facts: {sources: [{facter: auto}, {facter: /usr/bin/facter}]}\n",
     " facts.sources[1]: a source is called \"facter\" already"},
    {"facts: {sources: [{file: /a, name: classes}]}\n", " facts.sources[0]: a source is called"},
    {"facts: {sources: [{file: /a, below: a.b}]}\n", " facts.sources[0].below"},
    {"facts: {sources: [{file: /a, timeout: 5s}]}\n", " facts.sources[0]: a file has neither"},
    {"facts: {sources: [{facter: auto, timeout: 11m}]}\n", " facts.sources[0].timeout"},
    {"facts: {sources: [{facter: auto, interval: 1s}]}\n", " facts.sources[0].interval"},
    {"facts: {sources: [{program: [/x], arguments: [y]}]}\n", " facts.sources[0].arguments"},
    {"facts: {interval: 1s}\n", " facts.interval"},
    {"facts: {max_bytes: 1048577}\n", " facts.max_bytes"},
    {"facts: {class_files: [classes.txt]}\n", " facts.class_files"},
    {"facts: {files: [/a]}\n", "9: facts.files: no such field"},
    {"colectives: [a]\n", "9: colectives"},
    {"controllers: [c2]\n", "9"},
};
INSTANTIATE_TEST_SUITE_P(Config, WrongConfigs, testing::ValuesIn(kWrong));

TEST(Config, NeedsControllersBrokersAndTrust) {
  EXPECT_EQ(Error("").rfind("node.yaml: controllers: names no controller", 0), 0u) << Error("");
  EXPECT_EQ(Error("controllers: ['/c.*/']\n").rfind("node.yaml: controllers: ", 0), 0u);
  EXPECT_EQ(Error("controllers: [c1, c1]\n").rfind("node.yaml: controllers: ", 0), 0u);
  EXPECT_EQ(Error("controllers: [c1]\n").rfind("node.yaml: bus.brokers", 0), 0u);
  std::string text = kGood;
  text.replace(text.find("  crl: /etc/crl.pem\n"), 20, "");
  EXPECT_EQ(Error(text).rfind("node.yaml: trust.crl: is missing", 0), 0u) << Error(text);
  EXPECT_EQ(Error(text + "  no_crl: true\n"), "none");
  EXPECT_EQ(Error(absl::StrCat(kGood, "  no_crl: true\n")).rfind("node.yaml: trust.no_crl", 0), 0u);
}

TEST(Config, RefusesPlainStompUnlessNamed) {
  std::string text = kGood;
  text.insert(text.find("trust:"), "  tls: false\n");
  EXPECT_EQ(Error(text).rfind("node.yaml: bus.", 0), 0u) << Error(text);
}

TEST(Config, AMissingFileIsNamed) {
  const auto config = LoadConfig("/nowhere/nodeagent.yaml");
  EXPECT_EQ(config.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(config.status().message().find("/nowhere/nodeagent.yaml"), absl::string_view::npos);
}

}  // namespace
}  // namespace orch::nodeagent
