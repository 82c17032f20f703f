// SPDX-License-Identifier: Apache-2.0
#include "trust/audit/audit_log.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "trust/audit/audit_line.h"

namespace orch::trust {
namespace {

using orch::v1::AuditRecord;

class AuditLogTest : public ::testing::Test {
 protected:
  AuditLogTest() {
    std::string directory = absl::StrCat(getenv("TEST_TMPDIR"), "/audit.XXXXXX");
    EXPECT_NE(mkdtemp(directory.data()), nullptr);
    path_ = directory + "/audit.jsonl";
  }

  std::unique_ptr<AuditLog> Open() {
    auto log = AuditLog::Open(path_);
    EXPECT_TRUE(log.ok()) << log.status();
    return log.ok() ? *std::move(log) : nullptr;
  }

  // Appends `count` records, `group` at a time.
  static void Fill(AuditLog* log, int count, int group = 1) {
    for (int i = 0; i < count; i += group) {
      std::vector<AuditRecord> records(group);
      for (int k = 0; k < group; ++k) {
        records[k].set_kind("decision");
        records[k].set_caller((i + k) % 2 == 0 ? "cert=alice" : "cert=bob");
        records[k].set_target(std::string(200, 'x'));
      }
      ASSERT_TRUE(log->Append(&records).ok());
    }
  }

  std::string Content() { return *base::ReadFile(path_, 64 << 20); }
  std::vector<std::string> LinesOf() {
    std::vector<std::string> out = absl::StrSplit(Content(), '\n');
    out.pop_back();
    return out;
  }
  void Write(const std::string& content) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }
  void WriteLines(const std::vector<std::string>& lines) {
    Write(absl::StrJoin(lines, "\n") + "\n");
  }
  AuditVerdict Verify() { return *VerifyAuditFile(path_); }
  // A record as somebody would forge it who knows how hashes are made.
  static std::string Forged(const std::string& line, const std::string& caller) {
    AuditRecord record = *ParseAuditLine(line);
    record.set_caller(caller);
    return AuditLine(&record);
  }

  std::string path_;
};

std::vector<uint64_t> Sequences(const std::vector<AuditRecord>& records) {
  std::vector<uint64_t> out;
  for (const AuditRecord& record : records) out.push_back(record.sequence());
  return out;
}

TEST_F(AuditLogTest, LinksRecordsAcrossRestarts) {
  Fill(Open().get(), 3);
  const auto log = Open();
  std::vector<AuditRecord> records(2);
  ASSERT_TRUE(log->Append(&records).ok());
  EXPECT_EQ(records[0].sequence(), 4u);
  EXPECT_EQ(records[1].previous_hash(), records[0].hash());
  const AuditVerdict verdict = Verify();
  EXPECT_TRUE(verdict.intact) << verdict.why;
  EXPECT_EQ(verdict.records, 5u);
  EXPECT_EQ(verdict.last_hash, records[1].hash());
}

TEST_F(AuditLogTest, IsForItsOwnerAlone) {
  const mode_t before = umask(0);
  Open();
  umask(before);
  struct stat info = {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600u);
}

TEST_F(AuditLogTest, HasOneWriter) {
  const auto log = Open();
  const auto second = AuditLog::Open(path_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(AuditLogTest, NamesAFileThatItCantOpen) {
  EXPECT_NE(AuditLog::Open("/nowhere/audit").status().message().find("/nowhere/audit"),
            absl::string_view::npos);
  EXPECT_FALSE(AuditLog::Open("/dev/null").ok());
  EXPECT_EQ(VerifyAuditFile("/nowhere/audit").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(AuditLogTest, ListsTheNewestFirst) {
  const auto log = Open();
  Fill(log.get(), 10);
  EXPECT_EQ(Sequences(*log->List(0, 3)), (std::vector<uint64_t>{10, 9, 8}));
  EXPECT_EQ(Sequences(*log->List(8, 3)), (std::vector<uint64_t>{7, 6, 5}));
  EXPECT_EQ(Sequences(*log->List(3, 9)), (std::vector<uint64_t>{2, 1}));
  EXPECT_TRUE(log->List(1, 9)->empty());
  EXPECT_TRUE(log->List(0, 0)->empty());
}

TEST_F(AuditLogTest, FindsAPageInALongFile) {
  const auto log = Open();
  Fill(log.get(), 5000, 100);
  ASSERT_GT(Content().size(), 2u << 20);
  for (uint64_t before = 2; before <= 5001; before += 123) {
    EXPECT_EQ(Sequences(*log->List(before, 1)), std::vector<uint64_t>{before - 1});
  }
  EXPECT_EQ(log->List(0, 10000)->size(), 5000u);
}

TEST_F(AuditLogTest, TakesLongRecordsAndRefusesTooLongOnes) {
  const auto log = Open();
  std::vector<AuditRecord> records(3);
  for (auto& record : records) record.set_target(std::string(kAuditLineMax - 2000, 'x'));
  ASSERT_TRUE(log->Append(&records).ok());
  EXPECT_EQ(Sequences(*log->List(3, 5)), (std::vector<uint64_t>{2, 1}));
  std::vector<AuditRecord> too_long(1);
  too_long[0].set_target(std::string(kAuditLineMax, 'x'));
  EXPECT_EQ(log->Append(&too_long).code(), absl::StatusCode::kResourceExhausted);
  Fill(log.get(), 1);
  EXPECT_EQ(Verify().records, 4u);
}

TEST_F(AuditLogTest, MovesATornLastLineAside) {
  Fill(Open().get(), 3);
  const std::vector<std::string> lines = LinesOf();
  for (const size_t size : {size_t{1}, lines[2].size() / 2, lines[2].size()}) {
    unlink((path_ + ".torn").c_str());
    unlink((path_ + ".last").c_str());  // a line that was torn was never told of
    const std::string torn = lines[2].substr(0, size);
    Write(absl::StrCat(lines[0], "\n", lines[1], "\n", torn));
    EXPECT_FALSE(Verify().intact);
    const auto log = Open();
    EXPECT_EQ(*base::ReadFile(path_ + ".torn"), torn + "\n");
    const auto last = log->List(0, 1);
    EXPECT_EQ(last->front().kind(), "repaired");
    EXPECT_EQ(last->front().sequence(), 3u);
    EXPECT_TRUE(Verify().intact) << Verify().why;
  }
}

TEST_F(AuditLogTest, RepairsATornFirstLine) {
  Write("{\"sequence\":\"1\",\"ti");
  EXPECT_EQ(Open()->List(0, 9)->size(), 1u);
  EXPECT_TRUE(Verify().intact);
}

TEST_F(AuditLogTest, RefusesAnyOtherBrokenEnd) {
  Fill(Open().get(), 3);
  std::vector<std::string> lines = LinesOf();
  lines[1] = Forged(lines[1], "cert=eve");
  WriteLines(lines);
  const auto log = AuditLog::Open(path_);
  ASSERT_FALSE(log.ok());
  EXPECT_EQ(log.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(log.status().message().find("record 2 is not the one"), absl::string_view::npos);
  Write("hello\n");
  EXPECT_FALSE(AuditLog::Open(path_).ok());
  Write(std::string(5 << 20, '\0'));
  EXPECT_FALSE(AuditLog::Open(path_).ok());
}

TEST_F(AuditLogTest, FailsClosedOnAFullDisk) {
  auto log = Open();
  Fill(log.get(), 3);
  const std::string before = Content();
  signal(SIGXFSZ, SIG_IGN);
  struct rlimit limit = {};
  getrlimit(RLIMIT_FSIZE, &limit);
  const struct rlimit full = {before.size() + 100, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &full);
  std::vector<AuditRecord> records(1);
  const absl::Status failed = log->Append(&records);
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_FALSE(failed.ok());
  EXPECT_EQ(records[0].sequence(), 0u);
  EXPECT_EQ(Content(), before);
  EXPECT_FALSE(log->Append(&records).ok()) << "there is room again, but what is on the disk?";
  log.reset();
  log = Open();
  EXPECT_TRUE(log->Append(&records).ok());
  EXPECT_EQ(records[0].sequence(), 4u);
  EXPECT_TRUE(Verify().intact);
}

TEST_F(AuditLogTest, NoticesThatTheFileIsNotItsOwnAnyMore) {
  std::vector<AuditRecord> records(1);
  auto log = Open();
  Fill(log.get(), 2);
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  EXPECT_EQ(log->Append(&records).code(), absl::StatusCode::kDataLoss);
  ASSERT_EQ(rename((path_ + ".1").c_str(), path_.c_str()), 0);
  log.reset();
  log = Open();
  ASSERT_EQ(truncate(path_.c_str(), 10), 0);
  EXPECT_EQ(log->Append(&records).code(), absl::StatusCode::kDataLoss);
}

TEST_F(AuditLogTest, NoticesThatItsEndWasCutOffOrThatItWasEmptied) {
  Fill(Open().get(), 5);
  const std::vector<std::string> lines = LinesOf();
  const std::string last = *base::ReadFile(path_ + ".last");
  Write(absl::StrCat(lines[0], "\n", lines[1], "\n"));
  const auto cut = AuditLog::Open(path_);
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(cut.status().message().find("it ends with record 2, and record 5 was "
                                        "written: its end was cut off; put the right "
                                        "file back, or move this one away"),
            absl::string_view::npos)
      << cut.status();
  Write("");
  EXPECT_NE(AuditLog::Open(path_).status().message().find("it is empty, and record 5 was written"),
            absl::string_view::npos);
  // Written anew by somebody else, up to the same record.
  unlink(path_.c_str());
  unlink((path_ + ".last").c_str());
  Fill(Open().get(), 5);
  Write(Content());
  ASSERT_TRUE(base::WriteFileAtomically(path_ + ".last", last, 0600).ok());
  if (LinesOf() != lines) {
    EXPECT_NE(AuditLog::Open(path_).status().message().find("it was replaced"),
              absl::string_view::npos);
  }
  WriteLines(lines);
  EXPECT_TRUE(AuditLog::Open(path_).ok());
  // An anchor that a crash left behind.
  Fill(Open().get(), 2);
  ASSERT_TRUE(base::WriteFileAtomically(path_ + ".last", last, 0600).ok());
  EXPECT_TRUE(AuditLog::Open(path_).ok());
  ASSERT_TRUE(base::WriteFileAtomically(path_ + ".last", "17", 0600).ok());
  EXPECT_EQ(AuditLog::Open(path_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(AuditLogTest, AFileThatWasMovedAwayIsContinued) {
  Fill(Open().get(), 3);
  ASSERT_EQ(rename(path_.c_str(), (path_ + ".1").c_str()), 0);
  Fill(Open().get(), 2);
  const AuditVerdict verdict = Verify();
  EXPECT_TRUE(verdict.intact) << verdict.why;
  EXPECT_EQ(verdict.first, 4u);
  EXPECT_EQ(verdict.last, 6u);
  EXPECT_EQ(Open()->List(0, 9)->back().kind(), "continued");
  // Each file vouches for the end of the one before.
  const auto before = AnchorFrom(path_);
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_EQ(before->sequence, 3u);
  EXPECT_TRUE(VerifyAuditFile(path_ + ".1", *before)->intact);
  EXPECT_TRUE(VerifyAuditFile(path_, *AnchorFrom(path_ + ".last"))->intact);
  // Without its beginning it is not whole.
  std::vector<std::string> lines = LinesOf();
  lines.erase(lines.begin());
  WriteLines(lines);
  EXPECT_FALSE(Verify().intact);
}

TEST_F(AuditLogTest, VerifyComparesWithWhatWasWritten) {
  Fill(Open().get(), 5);
  const AuditAnchor last = *AnchorFrom(path_ + ".last");
  EXPECT_EQ(last.sequence, 5u);
  std::vector<std::string> lines = LinesOf();
  lines.resize(3);
  WriteLines(lines);
  EXPECT_TRUE(Verify().intact);
  const AuditVerdict cut = *VerifyAuditFile(path_, last);
  EXPECT_FALSE(cut.intact);
  EXPECT_EQ(cut.bad_line, 4u);
  EXPECT_EQ(cut.why, "its end is missing: record 5 was written");
  const AuditVerdict other = *VerifyAuditFile(path_, AuditAnchor{2, std::string(64, 'a')});
  EXPECT_FALSE(other.intact);
  EXPECT_EQ(other.bad_line, 2u);
}

TEST_F(AuditLogTest, ListRefusesAChangedRecord) {
  const auto log = Open();
  Fill(log.get(), 3);
  std::string content = Content();
  content[content.find("cert=bob")] = 'C';
  std::fstream(path_, std::ios::binary | std::ios::in | std::ios::out) << content;
  EXPECT_EQ(log->List(0, 9).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(AuditLogTest, VerifyTakesAnEmptyFile) {
  Open();
  const AuditVerdict verdict = Verify();
  EXPECT_TRUE(verdict.intact);
  EXPECT_EQ(verdict.records, 0u);
  EXPECT_EQ(verdict.last_hash, FirstPreviousHash());
}

struct Tampering {
  const char* name;
  void (*tamper)(std::vector<std::string>*,
                 std::string (*)(const std::string&, const std::string&));
  uint64_t bad_line;
  const char* why;
};

class TamperedTest : public AuditLogTest, public ::testing::WithParamInterface<Tampering> {};

TEST_P(TamperedTest, NamesTheFirstBadRecord) {
  Fill(Open().get(), 20);
  std::vector<std::string> lines = LinesOf();
  GetParam().tamper(&lines, Forged);
  WriteLines(lines);
  const AuditVerdict verdict = Verify();
  EXPECT_FALSE(verdict.intact);
  EXPECT_EQ(verdict.bad_line, GetParam().bad_line);
  EXPECT_NE(verdict.why.find(GetParam().why), std::string::npos) << verdict.why;
  EXPECT_EQ(verdict.records, verdict.bad_line - 1);
  if (verdict.records > 0) {
    EXPECT_EQ(verdict.last_hash, ReadAuditLink(lines[verdict.records - 1])->hash);
  }
}

using Strings = std::vector<std::string>;
using Forge = std::string (*)(const std::string&, const std::string&);
INSTANTIATE_TEST_SUITE_P(
    All, TamperedTest,
    ::testing::Values(
        Tampering{"edit", [](Strings* l, Forge) { (*l)[6][(*l)[6].find("cert=")] = 'C'; }, 7,
                  "record 7 was changed: its hash is "},
        Tampering{"skilled_edit", [](Strings* l, Forge f) { (*l)[6] = f((*l)[6], "cert=eve"); }, 7,
                  "record 7 is not the one that record 8 follows"},
        Tampering{"deletion", [](Strings* l, Forge) { l->erase(l->begin() + 11); }, 12,
                  "record 12 is missing"},
        Tampering{"deletion_of_two",
                  [](Strings* l, Forge) { l->erase(l->begin() + 11, l->begin() + 13); }, 12,
                  "records 12-13 are missing"},
        Tampering{"deletion_of_the_first", [](Strings* l, Forge) { l->erase(l->begin()); }, 1,
                  "record 1 is missing"},
        Tampering{"swap", [](Strings* l, Forge) { std::swap((*l)[4], (*l)[5]); }, 5,
                  "record 5 is missing"},
        Tampering{"insertion", [](Strings* l, Forge f) { l->insert(l->begin() + 4, (*l)[4]); }, 6,
                  "record 5 stands where record 6 should be"},
        Tampering{"rubbish", [](Strings* l, Forge) { l->insert(l->begin() + 4, "hello"); }, 5,
                  "not an audit record, where record 5 should be"},
        Tampering{"empty_line", [](Strings* l, Forge) { l->insert(l->begin() + 4, ""); }, 5,
                  "not an audit record"},
        Tampering{"truncation_in_the_middle",
                  [](Strings* l, Forge) { (*l)[9].resize((*l)[9].size() / 2); }, 10,
                  "not an audit record, where record 10 should be"},
        Tampering{"endless_line", [](Strings* l, Forge) { (*l)[9] = std::string(3 << 20, 'x'); },
                  10, "a torn line, where record 10 should be"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace orch::trust
