// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/journal/journal.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/config.h"
#include "nodeagent/journal/journal_store.h"

namespace orch::nodeagent {
namespace {

class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    std::string pattern = testing::TempDir() + "journalXXXXXX";
    directory_ = mkdtemp(pattern.data());
    options_.path = directory_ + "/journal.db";
    options_.sequence_path = directory_ + "/journal.sequence";
  }
  ~JournalTest() override { std::filesystem::remove_all(directory_); }

  void Open() {
    journal_.reset();
    absl::StatusOr<std::unique_ptr<Journal>> journal = Journal::Open(options_, clock_.Read());
    ASSERT_TRUE(journal.ok()) << journal.status();
    journal_ = *std::move(journal);
  }
  // Opened and a second later, so that requests issued now pass.
  void OpenFresh() {
    Open();
    clock_.Advance(absl::Seconds(1));
  }
  JournalRequest Request(char id) const {
    JournalRequest request;
    request.request_id = std::string(16, id);
    request.digest = std::string(32, id);
    request.job_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    request.controller = "c1";
    request.caller = "cert=operator";
    request.request = std::string("payload\0of", 10) + id;
    request.issue_time = clock_.Read().wall;
    request.expire_time = request.issue_time + absl::Seconds(60);
    return request;
  }
  Acceptance Accept(const JournalRequest& request) {
    absl::StatusOr<AcceptResult> result = journal_->Accept(request, clock_.Read());
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? result->acceptance : Acceptance::kFull;
  }

  std::string directory_;
  JournalOptions options_;
  base::FakeClock clock_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, AcceptsOnceAndKnowsItAgain) {
  OpenFresh();
  const JournalRequest request = Request('a');
  EXPECT_EQ(Accept(request), Acceptance::kAccepted);
  const AcceptResult again = *journal_->Accept(request, clock_.Read());
  EXPECT_EQ(again.acceptance, Acceptance::kDuplicate);
  EXPECT_EQ(again.known.state, JournalState::kAccepted);
  EXPECT_EQ(again.known.request.digest, request.digest);
  EXPECT_EQ(again.known.request.request, request.request);
  EXPECT_EQ(again.known.request.caller, "cert=operator");
  EXPECT_EQ(again.known.request.expire_time, request.expire_time);
}

TEST_F(JournalTest, KeepsTheFirstOutcomeOverARestart) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  ASSERT_EQ(Accept(Request('b')), Acceptance::kAccepted);
  const std::string a(16, 'a');
  EXPECT_TRUE(journal_->Finish(a, "first", clock_.Read()).ok());
  EXPECT_TRUE(journal_->Finish(a, "second", clock_.Read()).ok());
  Open();
  EXPECT_EQ(journal_->reset_reason(), "");
  const std::optional<JournalEntry> entry = *journal_->Find(a);
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->state, JournalState::kDone);
  EXPECT_EQ(entry->outcome, "first");
  EXPECT_EQ(entry->end_time, clock_.Read().wall);
  const std::vector<JournalEntry> unfinished = *journal_->Unfinished();
  ASSERT_EQ(unfinished.size(), 1u);
  EXPECT_EQ(unfinished[0].request.request_id, std::string(16, 'b'));
}

TEST_F(JournalTest, RefusesUnknownIdsAndOversizedOutcomes) {
  OpenFresh();
  EXPECT_EQ(journal_->Finish(std::string(16, 'x'), "", clock_.Read()).code(),
            absl::StatusCode::kNotFound);
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  EXPECT_EQ(
      journal_
          ->Finish(std::string(16, 'a'), std::string(kJournalOutcomeMax + 1, 'o'), clock_.Read())
          .code(),
      absl::StatusCode::kInvalidArgument);
}

TEST_F(JournalTest, RefusesWhatExpiredWhileItWaited) {
  OpenFresh();
  const JournalRequest request = Request('a');
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(Accept(request), Acceptance::kExpired);
  EXPECT_FALSE(journal_->Find(request.request_id)->has_value());
}

TEST_F(JournalTest, AFreshJournalRefusesEverythingIssuedBefore) {
  const JournalRequest old = Request('a');
  Open();
  EXPECT_EQ(journal_->reset_reason(), "the journal is new");
  EXPECT_EQ(Accept(old), Acceptance::kStale);
  EXPECT_FALSE(journal_->WholeSince(old.issue_time, clock_.Read()));
  clock_.Advance(absl::Milliseconds(1));
  EXPECT_EQ(Accept(Request('b')), Acceptance::kAccepted);
  EXPECT_TRUE(journal_->WholeSince(clock_.Read().wall, clock_.Read()));
}

TEST_F(JournalTest, ABootRefusesEverythingIssuedBefore) {
  OpenFresh();
  const JournalRequest never_sent = Request('a');
  ASSERT_EQ(Accept(Request('b')), Acceptance::kAccepted);
  std::filesystem::remove(options_.sequence_path);
  clock_.Advance(absl::Seconds(5));
  OpenFresh();
  EXPECT_NE(journal_->reset_reason(), "");
  EXPECT_EQ(Accept(never_sent), Acceptance::kStale);
  // What it does know it still knows.
  EXPECT_EQ(Accept(Request('b')), Acceptance::kDuplicate);
  EXPECT_EQ(Accept(Request('c')), Acceptance::kAccepted);
}

TEST_F(JournalTest, ARolledBackJournalIsNoticed) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  journal_.reset();
  const std::string copy = options_.path + ".copy";
  std::filesystem::copy_file(options_.path, copy);
  Open();
  const JournalRequest lost = Request('b');
  ASSERT_EQ(Accept(lost), Acceptance::kAccepted);
  journal_.reset();
  std::filesystem::remove(options_.path + "-wal");
  std::filesystem::rename(copy, options_.path);
  OpenFresh();
  EXPECT_EQ(journal_->reset_reason(), "the journal was rolled back or exchanged");
  EXPECT_FALSE(journal_->Find(lost.request_id)->has_value());
  EXPECT_EQ(Accept(lost), Acceptance::kStale);
}

TEST_F(JournalTest, ARolledBackJournalRefusesWhatAFastClockHadIssued) {
  OpenFresh();
  JournalRequest ahead = Request('a');
  ahead.issue_time += absl::Seconds(20);
  ahead.expire_time += absl::Seconds(20);
  ASSERT_EQ(Accept(ahead), Acceptance::kAccepted);
  journal_.reset();
  std::filesystem::remove(options_.path);
  std::filesystem::remove(options_.path + "-wal");
  OpenFresh();
  EXPECT_EQ(Accept(ahead), Acceptance::kStale);
}

TEST_F(JournalTest, AnExchangedJournalIsNoticed) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  const JournalOptions mine = options_;
  options_.path = directory_ + "/other.db";
  options_.sequence_path = directory_ + "/other.sequence";
  OpenFresh();
  ASSERT_EQ(Accept(Request('b')), Acceptance::kAccepted);
  ASSERT_EQ(Accept(Request('c')), Acceptance::kAccepted);
  journal_.reset();
  options_.sequence_path = mine.sequence_path;
  OpenFresh();
  EXPECT_EQ(journal_->reset_reason(), "the journal was rolled back or exchanged");
}

TEST_F(JournalTest, AClockSetRightAfterBootTakesTheFloorAlong) {
  clock_.StepWall(-absl::Hours(10'000));
  Open();
  clock_.StepWall(absl::Hours(10'000));
  JournalRequest before_boot = Request('a');
  before_boot.issue_time -= absl::Seconds(10);
  EXPECT_EQ(Accept(before_boot), Acceptance::kStale);
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Accept(Request('b')), Acceptance::kAccepted);
  // And stays after a restart that needs no reset.
  Open();
  EXPECT_EQ(journal_->reset_reason(), "");
  EXPECT_EQ(Accept(before_boot), Acceptance::kStale);
}

TEST_F(JournalTest, PurgesOnlyWhatIsDoneOldAndExpired) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  ASSERT_EQ(Accept(Request('b')), Acceptance::kAccepted);
  JournalRequest long_lived = Request('c');
  long_lived.expire_time += absl::Hours(48);
  ASSERT_EQ(Accept(long_lived), Acceptance::kAccepted);
  for (char id : {'b', 'c'}) {
    ASSERT_TRUE(journal_->Finish(std::string(16, id), "done", clock_.Read()).ok());
  }
  clock_.Advance(absl::Hours(23));
  ASSERT_TRUE(journal_->Purge(clock_.Read()).ok());
  EXPECT_TRUE(journal_->Find(std::string(16, 'b'))->has_value());
  clock_.Advance(absl::Hours(1));
  ASSERT_TRUE(journal_->Purge(clock_.Read()).ok());
  EXPECT_TRUE(journal_->Find(std::string(16, 'a'))->has_value());
  EXPECT_FALSE(journal_->Find(std::string(16, 'b'))->has_value());
  EXPECT_TRUE(journal_->Find(std::string(16, 'c'))->has_value());
}

TEST_F(JournalTest, FullRefusesUntilSomethingCanBePurged) {
  options_.entries_max = 3;
  OpenFresh();
  for (char id : {'a', 'b', 'c'}) ASSERT_EQ(Accept(Request(id)), Acceptance::kAccepted);
  EXPECT_EQ(Accept(Request('d')), Acceptance::kFull);
  EXPECT_EQ(Accept(Request('a')), Acceptance::kDuplicate);
  ASSERT_TRUE(journal_->Finish(std::string(16, 'b'), "done", clock_.Read()).ok());
  EXPECT_EQ(Accept(Request('d')), Acceptance::kFull) << "kept for those who ask";
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(Accept(Request('d')), Acceptance::kAccepted);
  EXPECT_EQ(Accept(Request('e')), Acceptance::kFull);
  EXPECT_TRUE(journal_->Find(std::string(16, 'a'))->has_value()) << "live entries stay";
  JournalRequest large = Request('f');
  large.request = std::string(kJournalRequestMax + 1, 'r');
  EXPECT_EQ(Accept(large), Acceptance::kFull);
}

TEST_F(JournalTest, AFullJournalForgetsResultsOfExpiredRequestsFirst) {
  options_.entries_max = 3;
  OpenFresh();
  for (char id : {'a', 'b', 'c'}) ASSERT_EQ(Accept(Request(id)), Acceptance::kAccepted);
  ASSERT_TRUE(journal_->Finish(std::string(16, 'b'), "done", clock_.Read()).ok());
  const JournalRequest before = Request('e');
  clock_.Advance(absl::Seconds(59));
  EXPECT_EQ(Accept(Request('d')), Acceptance::kFull) << "the very same could come again";
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(Accept(Request('d')), Acceptance::kAccepted);
  EXPECT_FALSE(journal_->Find(std::string(16, 'b'))->has_value());
  EXPECT_TRUE(journal_->Find(std::string(16, 'a'))->has_value()) << "what is not ended stays";
  // The floor rose: what was forgotten can't come again, whatever the clock does.
  clock_.StepWall(-absl::Seconds(30));
  JournalRequest b = before;
  b.request_id = std::string(16, 'b');
  EXPECT_EQ(Accept(b), Acceptance::kStale);
}

TEST_F(JournalTest, OneCallerOfOneControllerHasAShare) {
  options_.share_max = 2;
  OpenFresh();
  for (char id : {'a', 'b'}) ASSERT_EQ(Accept(Request(id)), Acceptance::kAccepted);
  EXPECT_EQ(Accept(Request('c')), Acceptance::kFull);
  JournalRequest other = Request('d');
  other.caller = "cert=other";
  EXPECT_EQ(Accept(other), Acceptance::kAccepted);
  other = Request('e');
  other.controller = "c2";
  EXPECT_EQ(Accept(other), Acceptance::kAccepted);
  JournalRequest stop = Request('f');
  stop.stops = true;
  EXPECT_EQ(Accept(stop), Acceptance::kAccepted) << "who may not start may still stop";
  ASSERT_TRUE(journal_->Finish(std::string(16, 'a'), "done", clock_.Read()).ok());
  clock_.Advance(absl::Seconds(60));
  EXPECT_EQ(Accept(Request('g')), Acceptance::kFull) << "two of its own are still live";
  ASSERT_TRUE(journal_->Finish(std::string(16, 'b'), "done", clock_.Read()).ok());
  EXPECT_EQ(Accept(Request('h')), Acceptance::kAccepted);
}

TEST_F(JournalTest, WhatStopsThingsHasAReserve) {
  options_.entries_max = 1;
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  EXPECT_EQ(Accept(Request('b')), Acceptance::kFull);
  JournalRequest stop = Request('c');
  stop.stops = true;
  EXPECT_EQ(Accept(stop), Acceptance::kAccepted);
  EXPECT_TRUE(*journal_->Refuse(Request('d'), "refused", clock_.Read()));
  EXPECT_TRUE(journal_->Cancel("job", clock_.Read().wall + absl::Hours(1), clock_.Read()).ok());
}

TEST_F(JournalTest, ARefusalIsKnownAgainAfterAKill) {
  OpenFresh();
  JournalRequest ahead = Request('a');
  ahead.issue_time += absl::Seconds(40);
  ahead.expire_time += absl::Seconds(40);
  EXPECT_TRUE(*journal_->Refuse(ahead, "not yet valid", clock_.Read()));
  EXPECT_FALSE(*journal_->Refuse(ahead, "again", clock_.Read())) << "the first one stays";
  Open();
  clock_.Advance(absl::Seconds(41));
  const AcceptResult again = *journal_->Accept(ahead, clock_.Read());
  EXPECT_EQ(again.acceptance, Acceptance::kDuplicate);
  EXPECT_EQ(again.known.state, JournalState::kDone);
  EXPECT_EQ(again.known.outcome, "not yet valid");
  // What could start after everything of it is forgotten is not said to be refused.
  JournalRequest far = Request('b');
  far.issue_time += kRefusalRememberedMax + absl::Seconds(1);
  EXPECT_FALSE(*journal_->Refuse(far, "no", clock_.Read()));
}

TEST_F(JournalTest, CancelledJobsAreRememberedUntilTheyCannotStart) {
  OpenFresh();
  const absl::Time until = clock_.Read().wall + absl::Minutes(15);
  ASSERT_TRUE(journal_->Cancel("job", until, clock_.Read()).ok());
  Open();
  const std::vector<CancelledJob> jobs = *journal_->Cancelled(clock_.Read());
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].job_id, "job");
  EXPECT_EQ(jobs[0].until, until);
  clock_.Advance(absl::Minutes(15));
  EXPECT_TRUE(journal_->Cancelled(clock_.Read())->empty());
}

TEST_F(JournalTest, AJournalOfTheFirstSchemaIsTakenOver) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  journal_.reset();
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open(options_.path.c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db,
                         "DROP TABLE cancelled; DROP INDEX entries_by_party;"
                         "ALTER TABLE entries DROP COLUMN controller; PRAGMA user_version=1",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
  Open();
  EXPECT_EQ(Accept(Request('a')), Acceptance::kDuplicate);
  EXPECT_TRUE(journal_->Cancelled(clock_.Read())->empty());
  EXPECT_EQ(journal_->reset_reason(), "");
}

TEST_F(JournalTest, WhatWasPurgedCannotComeAgainWhenTheClockJumpsBack) {
  OpenFresh();
  const JournalRequest request = Request('a');
  ASSERT_EQ(Accept(request), Acceptance::kAccepted);
  ASSERT_TRUE(journal_->Finish(request.request_id, "done", clock_.Read()).ok());
  clock_.StepWall(absl::Hours(25));
  ASSERT_TRUE(journal_->Purge(clock_.Read()).ok());
  ASSERT_FALSE(journal_->Find(request.request_id)->has_value());
  clock_.StepWall(-absl::Hours(25));
  EXPECT_EQ(Accept(request), Acceptance::kStale);
}

TEST_F(JournalTest, RefusesWhenTheSequenceCannotBeWritten) {
  OpenFresh();
  std::filesystem::remove(options_.sequence_path);
  std::filesystem::create_directories(options_.sequence_path + "/in/the/way");
  EXPECT_FALSE(journal_->Accept(Request('a'), clock_.Read()).ok());
  EXPECT_FALSE(journal_->Find(std::string(16, 'a'))->has_value());
}

TEST_F(JournalTest, DamagedForeignOrNewerFilesAreRefusedAndLeftAlone) {
  std::ofstream(options_.path) << std::string(8192, 'x');
  EXPECT_EQ(Journal::Open(options_, clock_.Read()).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(std::filesystem::file_size(options_.path), 8192u);
  std::filesystem::remove(options_.path);

  OpenFresh();
  for (int i = 0; i < 20; i++) {
    JournalRequest request = Request(static_cast<char>('a' + i));
    request.request = std::string(20'000, 'r');
    ASSERT_EQ(Accept(request), Acceptance::kAccepted);
  }
  journal_.reset();
  std::fstream file(options_.path, std::ios::in | std::ios::out | std::ios::binary);
  for (int page = 1; page < 40; page++) {
    file.seekp(page * 4096);
    file << std::string(1024, '\xff');
  }
  file.close();
  const absl::Status status = Journal::Open(options_, clock_.Read()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
}

TEST_F(JournalTest, TwoAgentsCannotShareIt) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  EXPECT_EQ(Journal::Open(options_, clock_.Read()).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(JournalTest, NobodyElseMayReadIt) {
  OpenFresh();
  ASSERT_EQ(Accept(Request('a')), Acceptance::kAccepted);
  for (const std::string& path : {options_.path, options_.path + "-wal", options_.sequence_path}) {
    EXPECT_EQ(std::filesystem::status(path).permissions() & std::filesystem::perms(077),
              std::filesystem::perms::none)
        << path;
  }
}

TEST_F(JournalTest, TheStoreAnswersOnTheStrandInOrder) {
  OpenFresh();
  base::asio::io_context io;
  base::Strand strand(io.get_executor());
  std::vector<std::string> answers;
  base::InlineWorker worker(&clock_);
  auto store = std::make_unique<JournalStore>(strand, &worker, std::move(journal_), &clock_);
  const std::string id(16, 'a');
  store->PostAccept(Request('a'), [&](absl::StatusOr<AcceptResult> result) {
    ORCH_CHECK_ON(strand);
    answers.push_back(result.ok() && result->acceptance == Acceptance::kAccepted ? "accepted"
                                                                                 : "?");
  });
  store->PostFinish(
      id, "done", [&](absl::Status status) { answers.push_back(status.ok() ? "finished" : "?"); });
  store->PostFind(id, [&](absl::StatusOr<std::optional<JournalEntry>> entry) {
    answers.push_back(entry.ok() && entry->has_value() ? (*entry)->outcome : "?");
  });
  io.run();
  EXPECT_EQ(answers, (std::vector<std::string>{"accepted", "finished", "done"}));
  io.restart();
  store->PostPurge([&](absl::Status) { answers.push_back("too late"); });
  store.reset();
  io.run();
  EXPECT_EQ(answers.size(), 3u);
}

}  // namespace
}  // namespace orch::nodeagent
