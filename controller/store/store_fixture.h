// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "controller/store/store.h"

namespace orch::controller {

using Events = std::vector<std::shared_ptr<const orch::v1::JobEvent>>;

inline std::string NewStoreDirectory() {
  std::string path = testing::TempDir() + "/storeXXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  return path;
}

// A store in a directory of its own, and jobs in it.
class StoreTest : public testing::Test {
 protected:
  void Open() {
    StoreOptions options;
    options.path = path_;
    options.jobs_kept = jobs_kept_;
    options.post = [](std::function<void()> call) { call(); };
    auto store = Store::Open(options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }
  void Start() {
    Open();
    store_->Start();
  }
  absl::Status Write(StoreWrite write, Store::OnFailure how = Store::OnFailure::kReport) {
    std::promise<absl::Status> done;
    store_->PostWrite(std::move(write), how, [&done](absl::Status s) { done.set_value(s); });
    return done.get_future().get();
  }
  template <typename T, typename F>
  absl::StatusOr<T> Read(F read) {
    std::promise<absl::StatusOr<T>> done;
    store_->PostRead<T>(read, [&done](absl::StatusOr<T> t) { done.set_value(std::move(t)); });
    return done.get_future().get();
  }
  // A running job with nodes a and b, stored.
  std::unique_ptr<Job> NewJob(const std::string& caller = "cert=op", const std::string& key = "") {
    JobSetup setup;
    setup.id = base::NewUlid(base::SystemClock().Read().wall);
    setup.caller = caller;
    setup.spec.mutable_action()->mutable_puppet_run()->set_show_diff(true);
    setup.mutating = true;
    setup.create_time = base::SystemClock().Read().wall;
    setup.run_timeout = absl::Minutes(5);
    auto job = std::make_unique<Job>(setup, std::vector<JobNodeStart>{{.node = "a"}, {.node = "b"}},
                                     std::vector<std::string>{}, now());
    StoreWrite write;
    NewJobRow row;
    row.id = setup.id;
    row.caller = caller;
    *row.record.mutable_job() = job->Snapshot(true);
    row.idempotency_key = key;
    row.body_digest = "body";
    write.new_job = row;
    write.update = Update(job.get());
    EXPECT_TRUE(Write(std::move(write)).ok());
    return job;
  }
  base::Now now() { return base::SystemClock().Read(); }
  JobUpdate Update(Job* job) {
    JobUpdate update;
    update.id = job->setup().id;
    *update.status.mutable_job() = job->Snapshot(false);
    update.status.set_cancelled(job->cancelled());
    update.changes = job->TakeChanges(now());
    return update;
  }
  void Save(Job* job) {
    StoreWrite write;
    write.update = Update(job);
    ASSERT_TRUE(Write(std::move(write)).ok());
  }
  void Say(Job* job, const std::string& node, orch::v1::NodeState outcome) {
    orch::bus::v1::Reply reply;
    reply.set_node(node);
    reply.mutable_outcome()->set_state(outcome);
    reply.mutable_outcome()->set_message("said");
    job->Apply(reply, now());
  }

  std::string directory_ = NewStoreDirectory();
  std::string path_ = directory_ + "/orch.db";
  uint64_t jobs_kept_ = 10000;
  std::unique_ptr<Store> store_;
};

}  // namespace orch::controller
