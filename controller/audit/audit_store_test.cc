// SPDX-License-Identifier: Apache-2.0
#include "controller/audit/audit_store.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <mutex>

#include "absl/strings/str_cat.h"

namespace orch::controller {
namespace {

using orch::v1::AuditRecord;
constexpr auto kPatience = std::chrono::seconds(10);

// A disk that can be made to fail.
struct Disk {
  std::mutex mutex;
  std::vector<AuditRecord> records;
  std::vector<size_t> batches;
  int opened = 0;
  int lists = 0;
  std::function<void(int)> on_list;  // the how-manieth; on the audit thread
  bool failing = false;
  std::shared_future<void> gate;  // Append waits for it, if valid
};

class FakeLog : public trust::AuditLog {
 public:
  explicit FakeLog(Disk* disk) : disk_(disk) {}
  absl::Status Append(std::vector<AuditRecord>* records) override {
    if (disk_->gate.valid()) disk_->gate.wait();
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    if (disk_->failing || broken_) {
      broken_ = true;
      return absl::UnavailableError("disk full");
    }
    disk_->batches.push_back(records->size());
    for (AuditRecord& record : *records) {
      record.set_sequence(disk_->records.size() + 1);
      disk_->records.push_back(record);
    }
    return absl::OkStatus();
  }
  absl::StatusOr<std::vector<AuditRecord>> List(uint64_t before, int limit) const override {
    const std::lock_guard<std::mutex> lock(disk_->mutex);
    ++disk_->lists;
    if (disk_->on_list) disk_->on_list(disk_->lists);
    std::vector<AuditRecord> out;
    for (size_t i = disk_->records.size(); i > 0 && out.size() < size_t(limit); --i) {
      const AuditRecord& record = disk_->records[i - 1];
      if (before != 0 && record.sequence() >= before) continue;
      out.push_back(record);
    }
    return out;
  }

 private:
  Disk* const disk_;
  bool broken_ = false;
};

orch::v1::ListAuditRequest OfCaller(const std::string& caller) {
  orch::v1::ListAuditRequest request;
  request.set_caller(caller);
  return request;
}

class AuditStoreTest : public testing::Test {
 protected:
  void Open() {
    auto store = AuditStore::Open(
        [this]() -> absl::StatusOr<std::unique_ptr<trust::AuditLog>> {
          const std::lock_guard<std::mutex> lock(disk_.mutex);
          ++disk_.opened;
          if (disk_.failing) return absl::UnavailableError("disk full");
          return std::make_unique<FakeLog>(&disk_);
        },
        absl::Milliseconds(10));
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  std::future<absl::Status> Append(const std::string& caller) {
    AuditRecord record;
    record.set_caller(caller);
    auto promise = std::make_shared<std::promise<absl::Status>>();
    store_->PostAppend(record, [promise](absl::Status status) { promise->set_value(status); });
    return promise->get_future();
  }
  static absl::Status Wait(std::future<absl::Status> future) {
    if (future.wait_for(kPatience) != std::future_status::ready) return absl::UnknownError("late");
    return future.get();
  }
  void SetFailing(bool failing) {
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    disk_.failing = failing;
  }

  Disk disk_;
  std::shared_ptr<AuditStore> store_;
};

TEST_F(AuditStoreTest, WhatWaitsIsWrittenTogether) {
  std::promise<void> go;
  disk_.gate = go.get_future().share();
  Open();
  std::vector<std::future<absl::Status>> all;
  for (int i = 0; i < 20; ++i) all.push_back(Append(absl::StrCat("cert=u", i)));
  go.set_value();
  for (auto& one : all) EXPECT_TRUE(Wait(std::move(one)).ok());
  ASSERT_EQ(disk_.records.size(), 20u);
  EXPECT_EQ(disk_.records[19].caller(), "cert=u19") << "in the order they came";
  EXPECT_LT(disk_.batches.size(), 20u);
}

TEST_F(AuditStoreTest, AFailedWriteRefusesAndTheLogIsOpenedAnew) {
  Open();
  EXPECT_TRUE(Wait(Append("cert=a")).ok());
  SetFailing(true);
  EXPECT_FALSE(Wait(Append("cert=b")).ok());
  EXPECT_FALSE(Wait(Append("cert=c")).ok());
  EXPECT_FALSE(store_->healthy());
  SetFailing(false);
  EXPECT_TRUE(Wait(Append("cert=d")).ok());
  EXPECT_TRUE(store_->healthy());
  EXPECT_EQ(disk_.records.size(), 2u);
  EXPECT_GE(disk_.opened, 2);
}

TEST_F(AuditStoreTest, AnEndedJobIsTriedAgain) {
  Open();
  SetFailing(true);
  orch::v1::Job job;
  job.set_name("jobs/x");
  store_->PostJobEnd(job);
  EXPECT_FALSE(Wait(Append("cert=a")).ok());
  SetFailing(false);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  for (bool found = false; !found;) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "the record never came";
    ASSERT_TRUE(Wait(Append("cert=b")).ok());
    const std::lock_guard<std::mutex> lock(disk_.mutex);
    for (const AuditRecord& record : disk_.records) found = found || record.job() == "jobs/x";
  }
}

TEST_F(AuditStoreTest, ListsByCallerAndJobFromASequence) {
  Open();
  for (const char* caller : {"cert=a", "cert=b", "cert=a", "cert=a"}) {
    ASSERT_TRUE(Wait(Append(caller)).ok());
  }
  std::promise<std::vector<AuditRecord>> listed;
  store_->PostList(4, 10, OfCaller("cert=a"), [&](auto records) { listed.set_value(*records); });
  auto future = listed.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  const std::vector<AuditRecord> records = future.get();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].sequence(), 3u);
  EXPECT_EQ(records[1].sequence(), 1u);
}

TEST_F(AuditStoreTest, AListingOfManyRecordsHoldsUpNoWrite) {
  Open();
  constexpr int kRecords = 5 * AuditStore::kListedAtOnce;
  for (int i = 1; i <= kRecords; ++i) {
    disk_.records.emplace_back().set_sequence(static_cast<uint64_t>(i));
    disk_.records.back().set_caller(i % 1000 == 1 ? "cert=a" : "cert=b");
  }
  std::atomic<int> written_after{0};
  disk_.on_list = [&](int lists) {
    if (lists != 1) return;
    store_->PostAppend(AuditRecord(), [&, this](const absl::Status& status) {
      EXPECT_TRUE(status.ok());
      const std::lock_guard<std::mutex> lock(disk_.mutex);
      written_after = disk_.lists;
    });
  };
  std::promise<std::vector<AuditRecord>> listed;
  store_->PostList(0, 10, OfCaller("cert=a"), [&](auto records) { listed.set_value(*records); });
  auto future = listed.get_future();
  ASSERT_EQ(future.wait_for(kPatience), std::future_status::ready);
  std::vector<uint64_t> found;
  for (const AuditRecord& record : future.get()) found.push_back(record.sequence());
  EXPECT_EQ(found, (std::vector<uint64_t>{2001, 1001, 1}));
  EXPECT_GT(written_after, 0);
  EXPECT_LT(written_after, 4) << "it waited for the whole listing";
}

TEST_F(AuditStoreTest, EndingWritesWhatWaits) {
  Open();
  auto last = Append("cert=a");
  store_.reset();
  EXPECT_TRUE(Wait(std::move(last)).ok());
  EXPECT_EQ(disk_.records.size(), 1u);
}

TEST_F(AuditStoreTest, ABrokenFileIsKnownAtTheStart) {
  disk_.failing = true;
  const auto store = AuditStore::Open([]() -> absl::StatusOr<std::unique_ptr<trust::AuditLog>> {
    return absl::DataLossError("x");
  });
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(AuditStoreTest, DenialsOfOneKindAreCounted) {
  Open();
  for (int i = 0; i < 1000; ++i) {
    AuditRecord record;
    record.set_caller("cert=eve");
    record.set_decision("deny");
    auto promise = std::make_shared<std::promise<absl::Status>>();
    store_->PostAppend(record, [promise](absl::Status status) { promise->set_value(status); });
    EXPECT_TRUE(Wait(promise->get_future()).ok());
  }
  EXPECT_EQ(store_->counts().folded, 999u);
  store_.reset();
  ASSERT_EQ(disk_.records.size(), 2u);
  EXPECT_EQ(disk_.records[1].reason(), "999 more like it within a minute");
}

TEST_F(AuditStoreTest, AFileThatWasMovedAwayIsContinuedAndRefusesNothing) {
  const std::string path = absl::StrCat(getenv("TEST_TMPDIR"), "/rotated.jsonl");
  auto store = AuditStore::Open(path);
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  EXPECT_TRUE(Wait(Append("cert=a")).ok());
  ASSERT_EQ(rename(path.c_str(), (path + ".1").c_str()), 0);
  EXPECT_TRUE(Wait(Append("cert=b")).ok());
  store_.reset();
  const auto verdict = trust::VerifyAuditFile(path);
  EXPECT_TRUE(verdict->intact) << verdict->why;
  EXPECT_EQ(verdict->first, 2u);
  EXPECT_EQ(verdict->last, 3u);
}

TEST(AuditRecordTest, TellsWhatAJobWasAbout) {
  orch::v1::Job job;
  job.set_name("jobs/01J");
  job.set_caller("cert=operator");
  job.set_targets(3);
  job.mutable_spec()->mutable_action()->mutable_puppet_run()->set_noop(true);
  job.mutable_spec()->set_reason("a change");
  for (const char* node : {"a", "b"}) job.mutable_spec()->add_nodes(node);
  auto* count = job.add_counts();
  count->set_state(orch::v1::NODE_STATE_NO_RESPONSE);
  count->set_count(3);
  const AuditRecord record = RecordOf(job, "job_end");
  EXPECT_EQ(record.kind(), "job_end");
  EXPECT_EQ(record.caller(), "cert=operator");
  EXPECT_EQ(record.action(), "puppet.run");
  EXPECT_EQ(record.argument_digest().size(), 64u);
  EXPECT_EQ(record.target(), "nodes a,b");
  EXPECT_EQ(record.resolved(), 3u);
  EXPECT_EQ(record.reason(), "a change");
  ASSERT_EQ(record.outcomes().size(), 1u);
  EXPECT_EQ(record.outcomes().at("no_response"), 3u);
}

TEST(AuditRecordTest, ManyNamesAreCutShort) {
  orch::v1::JobSpec spec;
  for (int i = 0; i < kNamesShownMax + 1; ++i) spec.add_nodes("n");
  const std::string text = TargetText(spec, "-C nginx");
  EXPECT_EQ(text.substr(0, 20), "-C nginx nodes n,n,n");
  EXPECT_EQ(text.substr(text.size() - 4), "(51)");
}

}  // namespace
}  // namespace orch::controller
