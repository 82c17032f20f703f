// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "nodeagent/facts/facts.h"

namespace orch::nodeagent {

// Facts over a directory of their own, with `facts.d` as the only source until a test adds more.
class FactsTest : public testing::Test {
 protected:
  FactsTest() {
    std::string pattern = testing::TempDir() + "factsXXXXXX";
    directory_ = mkdtemp(pattern.data());
    std::filesystem::create_directories(directory_ + "/facts.d");
    chmod((directory_ + "/facts.d").c_str(), 0755);
    int files = 0;
    for (std::string* path :
         {puppet_.mutable_agent_disabled_lockfile(), puppet_.mutable_agent_catalog_run_lockfile(),
          puppet_.mutable_pidfile(), puppet_.mutable_lastrunfile(), puppet_.mutable_lastrunreport(),
          puppet_.mutable_classfile(), puppet_.mutable_resourcefile()}) {
      *path = directory_ + "/puppet" + std::to_string(files++);
    }
    puppet_.mutable_runtimeout()->set_seconds(60);
    config_.add_sources()->set_directory(directory_ + "/facts.d");
  }
  ~FactsTest() override {
    facts_.reset();
    std::filesystem::remove_all(directory_);
  }

  // Writes a file as a package would: readers see the old or the new content.
  void Write(const std::string& name, const std::string& text, int mode = 0644) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path + ".tmp") << text;
    chmod((path + ".tmp").c_str(), mode);
    std::filesystem::rename(path + ".tmp", path);
  }
  void Script(const std::string& name, const std::string& text) {
    Write(name, "#!/bin/sh\n" + text, 0755);
  }
  // A program that is a source of its own, before facts.d.
  FactSource* Facter(const std::string& script) {
    Script("facter", script);
    if (config_.sources_size() == 1) {
      config_.add_sources();
      config_.mutable_sources()->SwapElements(0, 1);
    }
    config_.mutable_sources(0)->set_facter(directory_ + "/facter");
    return config_.mutable_sources(0);
  }
  void Open() {
    facts_.reset();
    paths_ = std::make_unique<PuppetPathsFinder>(strand_, &clock_, puppet_, directory_ + "/paths");
    facts_ = std::make_unique<Facts>(FactsParts{strand_,
                                                &clock_,
                                                paths_.get(),
                                                config_,
                                                directory_ + "/cache.json",
                                                "node1",
                                                {"web", "main"}});
  }
  bool Until(const std::function<bool()>& condition) {
    const absl::Time limit = absl::Now() + absl::Seconds(20);
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
    ASSERT_TRUE(Until([&] { return changes_ > 0 && facts_->settled(); }));
  }
  void Refresh() {
    const int before = changes_;
    facts_->Refresh();
    ASSERT_TRUE(Until([&] { return changes_ > before; }));
  }
  bool Has(const std::string& name) const {
    return facts_->facts() != nullptr && facts_->facts()->contains(name);
  }
  std::string ErrorOf(const std::string& source) const {
    for (const auto& error : facts_->errors()) {
      if (error.source() == source) return error.message();
    }
    return "";
  }
  absl::StatusOr<nlohmann::json> Ask(const std::string& name, const std::string& argument,
                                     const std::string& field) const {
    return facts_->Answer({name, argument, field});
  }

  std::string directory_;
  PuppetConfig puppet_;
  FactsConfig config_;
  base::FakeClock clock_;
  base::asio::io_context io_;
  base::Strand strand_{io_.get_executor()};
  std::unique_ptr<PuppetPathsFinder> paths_;
  std::unique_ptr<Facts> facts_;
  int changes_ = 0;
};

}  // namespace orch::nodeagent
