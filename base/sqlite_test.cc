// SPDX-License-Identifier: Apache-2.0
#include "base/sqlite.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/match.h"

namespace orch::base {
namespace {

class SqliteTest : public testing::Test {
 protected:
  SqliteTest() {
    std::string directory = testing::TempDir() + "/sqliteXXXXXX";
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
    path_ = directory + "/a.db";
  }
  absl::StatusOr<std::unique_ptr<Database>> TryOpen(bool exclusive = false) {
    return Database::Open({.name = "things",
                           .path = path_,
                           .exclusive = exclusive,
                           .busy_timeout = absl::ZeroDuration()});
  }
  std::unique_ptr<Database> Open() {
    auto database = TryOpen();
    EXPECT_TRUE(database.ok()) << database.status();
    return *std::move(database);
  }
  std::unique_ptr<Database> OpenWithTable() {
    auto database = Open();
    const absl::Status made =
        database->Execute("CREATE TABLE t(n INTEGER PRIMARY KEY, word TEXT, bytes BLOB)");
    EXPECT_TRUE(made.ok()) << made;
    return database;
  }
  static int64_t Count(Database* database) {
    Statement count = database->Prepare("SELECT COUNT(*) FROM t");
    EXPECT_TRUE(count.Run().ok());
    return count.IntAt(0);
  }

  std::string path_;
};

TEST_F(SqliteTest, WhatGoesInComesOut) {
  auto database = OpenWithTable();
  const std::string bytes("\0\xff", 2);
  ASSERT_TRUE(database->Prepare("INSERT INTO t VALUES(?,?,?)")
                  .Int(-7)
                  .Text("größe")
                  .Blob(bytes)
                  .Run()
                  .ok());
  ASSERT_TRUE(database->Prepare("INSERT INTO t VALUES(?,?,?)").Int(8).Text({}).Null().Run().ok());
  EXPECT_EQ(database->Changes(), 1);
  Statement select = database->Prepare("SELECT n, word, bytes, word IS NULL FROM t ORDER BY n");
  ASSERT_TRUE(*select.Next());
  EXPECT_EQ(select.IntAt(0), -7);
  EXPECT_EQ(select.BytesAt(1), "größe");
  EXPECT_EQ(select.BytesAt(2), bytes);
  ASSERT_TRUE(*select.Next());
  EXPECT_EQ(select.BytesAt(2), "");
  EXPECT_EQ(select.IntAt(3), 0) << "an empty text is not NULL";
  EXPECT_FALSE(*select.Next());
}

TEST_F(SqliteTest, AStatementIsFreshEachTime) {
  auto database = OpenWithTable();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(database->Prepare("INSERT INTO t(n) VALUES(?)").Int(i).Run().ok());
    Statement select = database->Prepare("SELECT n FROM t");  // left in the middle
    ASSERT_TRUE(*select.Next());
    EXPECT_EQ(select.IntAt(0), 0);
  }
  EXPECT_EQ(Count(database.get()), 3);
}

TEST_F(SqliteTest, WithoutACommitNothingHappened) {
  auto database = OpenWithTable();
  {
    Transaction transaction(database.get());
    ASSERT_TRUE(transaction.Begin().ok());
    ASSERT_TRUE(database->Execute("INSERT INTO t(n) VALUES(1)").ok());
  }
  EXPECT_EQ(Count(database.get()), 0);
  {
    Transaction transaction(database.get());
    ASSERT_TRUE(transaction.Begin().ok());
    ASSERT_TRUE(database->Execute("INSERT INTO t(n) VALUES(1)").ok());
    ASSERT_TRUE(transaction.Commit().ok());
  }
  EXPECT_EQ(Count(database.get()), 1);
  EXPECT_TRUE(database->Begin().ok()) << "the one before is over";
}

TEST_F(SqliteTest, ErrorsSayWhichFileAndWhat) {
  auto database = Open();
  const absl::Status status = database->Prepare("SELECT n FROM nowhere").Run();
  EXPECT_TRUE(absl::StartsWith(status.message(),
                               "things " + path_ + ": SELECT n FROM nowhere: no such table"))
      << status;
  EXPECT_FALSE(database->Prepare("SELECT ?").Int(1).Int(2).Run().ok()) << "one too many";
}

TEST_F(SqliteTest, AFullDiskIsToldFromADamagedFile) {
  auto database = OpenWithTable();
  ASSERT_TRUE(database->Execute("PRAGMA max_page_count=2").ok());
  const std::string much(100'000, 'x');
  EXPECT_EQ(database->Prepare("INSERT INTO t(bytes) VALUES(?)").Blob(much).Run().code(),
            absl::StatusCode::kResourceExhausted);
  database.reset();
  unlink(path_.c_str());
  std::ofstream(path_) << std::string(4096, 'x');
  EXPECT_EQ(TryOpen().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(SqliteTest, WhatAnotherHoldsIsUnavailable) {
  auto first = TryOpen(/*exclusive=*/true);
  ASSERT_TRUE(first.ok());
  ASSERT_TRUE((*first)->Execute("CREATE TABLE t(n)").ok());
  const auto second = TryOpen(/*exclusive=*/true);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable) << second.status();
}

TEST_F(SqliteTest, IsForItsOwnerAlone) {
  auto database = OpenWithTable();
  for (const char* suffix : {"", "-wal"}) {
    struct stat info;
    ASSERT_EQ(stat((path_ + suffix).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
  EXPECT_EQ(Database::Open({.name = "things", .path = "/nowhere/a.db"}).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace orch::base
