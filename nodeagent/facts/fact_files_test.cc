// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts/fact_files.h"

#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace orch::nodeagent {
namespace {

class FactFilesTest : public testing::Test {
 protected:
  FactFilesTest() {
    std::string pattern = testing::TempDir() + "factfilesXXXXXX";
    directory_ = mkdtemp(pattern.data());
    order_.plan.kind = SourceKind::kDirectory;
    order_.plan.paths = {directory_ + "/facts.d"};
    order_.bytes_max = 1 << 20;
    std::filesystem::create_directories(directory_ + "/facts.d");
    chmod((directory_ + "/facts.d").c_str(), 0755);
  }
  ~FactFilesTest() override {
    if (order_.inotify >= 0) close(order_.inotify);
    std::filesystem::remove_all(directory_);
  }

  // With a time long ago: nothing is still being written.
  std::string Write(const std::string& name, const std::string& text, int mode = 0644) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    const timeval times[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
    utimes(path.c_str(), times);
    return path;
  }
  std::string Error(const Look& look, const std::string& path) {
    const auto read = look.read.find(path);
    return read == look.read.end() ? "not read" : std::string(read->second.status().message());
  }
  bool Happened() {
    char buffer[4096];
    return read(order_.inotify, buffer, sizeof buffer) > 0;
  }

  std::string directory_;
  LookOrder order_;
};

TEST_F(FactFilesTest, ADirectoryHasDataAndPrograms) {
  const std::string json = Write("facts.d/b.json", "{\"a\": 1}", 0755);
  const std::string text = Write("facts.d/a.txt", "b=2\n");
  const std::string yaml = Write("facts.d/c.yaml", "c: 3\n");
  const std::string program = Write("facts.d/run", "#!/bin/sh\n", 0755);
  for (const char* ignored :
       {".hidden.txt", "README", "run~", "run.bak", "run.dpkg-old", "x.rpmsave"}) {
    Write(std::string("facts.d/") + ignored, "#!/bin/sh\n",
          0755 & (ignored[0] == 'R' ? 0644 : 0755));
  }
  std::filesystem::create_directories(directory_ + "/facts.d/sub.txt");
  const Look look = LookAt(order_);
  ASSERT_TRUE(look.status.ok()) << look.status;
  EXPECT_EQ(look.names, (std::set<std::string>{text, json, yaml, program}));
  EXPECT_EQ(*look.read.at(json), "{\"a\":1}") << "an ending says more than the mode";
  EXPECT_EQ(*look.read.at(text), "{\"b\":\"2\"}");
  EXPECT_EQ(*look.read.at(yaml), "{\"c\":3}");
  ASSERT_EQ(look.programs.size(), 1u);
  EXPECT_EQ(look.programs.at(program).path, std::filesystem::canonical(program));
  EXPECT_FALSE(look.programs.at(program).changed);
}

TEST_F(FactFilesTest, OnlyWhatHasChangedIsReadAgain) {
  const std::string a = Write("facts.d/a.txt", "a=1\n");
  const std::string program = Write("facts.d/run", "#!/bin/sh\n", 0755);
  // What changed just now is doubted: read again until it has settled.
  const absl::Time limit = absl::Now() + absl::Seconds(10);
  Look look = LookAt(order_);
  while (!look.read.empty() && absl::Now() < limit) {
    order_.seen = look.seen;
    look = LookAt(order_);
  }
  EXPECT_TRUE(look.read.empty());
  EXPECT_EQ(look.names.size(), 2u);
  order_.seen = look.seen;
  Write("facts.d/a.txt", "a=2\n");
  Write("facts.d/run", "#!/bin/sh\n:\n", 0755);
  look = LookAt(order_);
  EXPECT_EQ(*look.read.at(a), "{\"a\":\"2\"}");
  EXPECT_TRUE(look.programs.at(program).changed);
}

TEST_F(FactFilesTest, ProgramsThatOthersMayChangeAreNotRun) {
  const std::string writable = Write("facts.d/writable", "#!/bin/sh\n", 0757);
  const std::string group = Write("facts.d/group", "#!/bin/sh\n", 0775);
  const std::string strange = Write("facts.d/strange", "#!/bin/sh\n", 0755);
  // Only root may give files away, and a sandbox may know no other user to give them to.
  const bool given_away = geteuid() == 0 && chown(strange.c_str(), 12345, 0) == 0;
  Look look = LookAt(order_);
  EXPECT_EQ(Error(look, writable), "not run: others may write it (mode 0757)");
  EXPECT_EQ(Error(look, group), "not run: others may write it (mode 0775)");
  EXPECT_EQ(Error(look, strange), given_away ? "not run: it belongs to user 12345" : "not read");
  EXPECT_EQ(look.programs.size(), given_away ? 0u : 1u);
  // Who may write the directory may put any of root's programs there.
  const std::string good = Write("facts.d/good", "#!/bin/sh\n", 0755);
  chmod((directory_ + "/facts.d").c_str(), 0777);
  look = LookAt(order_);
  EXPECT_EQ(Error(look, good), "not run: others may write " + directory_ + "/facts.d (mode 0777)");
  chmod((directory_ + "/facts.d").c_str(), 0755);
  EXPECT_TRUE(LookAt(order_).programs.contains(good));
  // A link is as safe as where it leads.
  std::filesystem::create_directories(directory_ + "/open");
  chmod((directory_ + "/open").c_str(), 0777);
  Write("open/target", "#!/bin/sh\n", 0755);
  std::filesystem::create_symlink(directory_ + "/open/target", directory_ + "/facts.d/link");
  EXPECT_NE(Error(LookAt(order_), directory_ + "/facts.d/link"), "not read");
}

TEST_F(FactFilesTest, HostileEntriesAreNamed) {
  const std::string fifo = directory_ + "/facts.d/fifo.txt";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0644), 0);
  const std::string dangling = directory_ + "/facts.d/dangling.json";
  std::filesystem::create_symlink("/nowhere", dangling);
  const std::string loop = directory_ + "/facts.d/loop.json";
  std::filesystem::create_symlink("loop.json", loop);
  const std::string large =
      Write("facts.d/large.json", "{\"a\": \"" + std::string(2000, 'x') + "\"}");
  const std::string latin = Write("facts.d/latin.txt", "a=\xe9\n");
  const std::string good = Write("facts.d/good.txt", "a=1\n");
  order_.bytes_max = 1000;
  const Look look = LookAt(order_);
  // The FIFO is young; that it is none of ours shows when it has settled.
  EXPECT_TRUE(look.unsettled.contains(fifo) || Error(look, fifo) == "not a regular file");
  EXPECT_EQ(Error(look, dangling), "stat: No such file or directory");
  EXPECT_NE(Error(look, loop), "not read");
  EXPECT_EQ(Error(look, large), large + ": larger than 1000 bytes");
  EXPECT_EQ(*look.read.at(latin), "{\"a\":\"\xef\xbf\xbd\"}");
  EXPECT_TRUE(look.read.at(good).ok());
}

TEST_F(FactFilesTest, AProgramWhoseLinkLeadsNowhereIsNamed) {
  const std::string link = directory_ + "/facts.d/run";
  std::filesystem::create_symlink("/nowhere", link);
  EXPECT_TRUE(LookAt(order_).names.empty()) << "it never was one";
  order_.known = {link};
  const Look look = LookAt(order_);
  EXPECT_TRUE(look.names.contains(link)) << "its facts of before stay";
  EXPECT_EQ(Error(look, link), "stat: No such file or directory");
}

TEST_F(FactFilesTest, WhatIsBeingWrittenIsLookedAtAgain) {
  const std::string path = directory_ + "/facts.d/half.json";
  std::ofstream(path) << "{\"a\": ";
  Look look = LookAt(order_);
  EXPECT_EQ(look.unsettled, std::set<std::string>{path});
  EXPECT_TRUE(look.read.empty());
  EXPECT_TRUE(look.names.contains(path)) << "its facts of before stay";
  order_.had_time = {path};
  look = LookAt(order_);
  EXPECT_TRUE(look.unsettled.empty());
  EXPECT_FALSE(look.read.at(path).ok());
  order_.had_time.clear();
  Write("facts.d/half.json", "{\"a\": ");
  look = LookAt(order_);
  EXPECT_TRUE(look.unsettled.empty());
  EXPECT_FALSE(look.read.at(path).ok());
}

TEST_F(FactFilesTest, WhatIsMissing) {
  order_.plan.paths = {directory_ + "/none"};
  EXPECT_EQ(LookAt(order_).status.code(), absl::StatusCode::kNotFound);
  order_.plan.kind = SourceKind::kFile;
  EXPECT_EQ(LookAt(order_).status.message(),
            "stat " + directory_ + "/none: No such file or directory");
  order_.plan.kind = SourceKind::kProgram;
  order_.plan.paths = {"/nowhere/a", directory_};
  EXPECT_EQ(LookAt(order_).status.message(), "no program: /nowhere/a, " + directory_);
  order_.plan.optional = true;
  EXPECT_TRUE(LookAt(order_).status.ok());
  EXPECT_TRUE(LookAt(order_).names.empty());
  order_.plan.paths = {"/nowhere/a", "/bin/sh"};
  EXPECT_EQ(LookAt(order_).programs.at("").path, "/bin/sh");
}

TEST_F(FactFilesTest, TooManyFilesAreAnError) {
  for (size_t i = 0; i <= kFactFilesMax; i++) {
    std::ofstream(directory_ + "/facts.d/" + std::to_string(i) + ".txt") << "a=1\n";
  }
  EXPECT_EQ(LookAt(order_).status.code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(FactFilesTest, ClassFilesAreListsOfTheirOwn) {
  order_.plan.kind = SourceKind::kClasses;
  const std::string classes = Write("classes.txt", "nginx\nsettings\n");
  order_.plan.paths = {classes, directory_ + "/none"};
  const Look look = LookAt(order_);
  EXPECT_TRUE(look.status.ok());
  EXPECT_EQ(*look.read.at(classes), "[\"nginx\",\"settings\"]");
  EXPECT_EQ(look.read.at(directory_ + "/none").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(FactFilesTest, ChangesWakeWhereverTheFileReallyIs) {
  order_.inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  ASSERT_GE(order_.inotify, 0);
  std::filesystem::create_directories(directory_ + "/release1");
  std::filesystem::create_directories(directory_ + "/release2");
  Write("release1/role.json", "{\"role\": 1}");
  Write("release2/role.json", "{\"role\": 2}");
  std::filesystem::create_symlink("release1", directory_ + "/current");
  order_.plan.kind = SourceKind::kFile;
  order_.plan.paths = {directory_ + "/current/role.json"};
  Look look = LookAt(order_);
  EXPECT_EQ(*look.read.at(""), "{\"role\":1}");
  EXPECT_GE(look.watches.size(), 2u);
  EXPECT_FALSE(Happened());
  Write("release1/role.json", "{\"role\": 3}");
  EXPECT_TRUE(Happened()) << "the file itself";
  std::filesystem::create_symlink("release2", directory_ + "/next");
  std::filesystem::rename(directory_ + "/next", directory_ + "/current");
  EXPECT_TRUE(Happened()) << "a link on the way";
  look = LookAt(order_);
  EXPECT_EQ(*look.read.at(""), "{\"role\":2}");
  // What is not there yet.
  order_.plan.kind = SourceKind::kDirectory;
  order_.plan.paths = {directory_ + "/later/facts.d"};
  EXPECT_FALSE(LookAt(order_).status.ok());
  while (Happened()) {
  }
  std::filesystem::create_directories(directory_ + "/later");
  EXPECT_TRUE(Happened()) << "a directory that it will be in";
  (void)LookAt(order_);
  std::filesystem::create_directories(directory_ + "/later/facts.d");
  EXPECT_TRUE(Happened());
  EXPECT_TRUE(LookAt(order_).status.ok());
  while (Happened()) {
  }
  Write("later/facts.d/a.txt", "a=1\n");
  EXPECT_TRUE(Happened());
}

}  // namespace
}  // namespace orch::nodeagent
