// SPDX-License-Identifier: Apache-2.0
// Kills a process that writes, again and again, and looks at what it left: everything that was
// reported durable, nothing half written.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>

#include "base/ids.h"
#include "controller/store/store.h"

namespace orch::controller {
namespace {

constexpr char kJobId[] = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

StoreOptions OptionsFor(const std::string& path) {
  StoreOptions options;
  options.path = path;
  options.post = [](std::function<void()> call) { call(); };
  return options;
}

StoreWrite Event(uint64_t sequence) {
  auto event = std::make_shared<orch::v1::JobEvent>();
  event->set_sequence(sequence);
  event->mutable_node()->set_node("a");
  event->mutable_node()->set_message(std::string(sequence % 3000, 'x'));
  JobUpdate update;
  update.id = kJobId;
  update.status.mutable_job()->set_state(orch::v1::JOB_STATE_RUNNING);
  update.status.mutable_job()->set_last_sequence(sequence);
  update.changes.events.push_back(event);
  NodeChange node;
  node.node = "a";
  node.sequence = sequence;
  update.changes.nodes.push_back(node);
  StoreWrite write;
  write.update = update;
  return write;
}

// Writes events from the last one on and tells through `pipe` which are durable, until it is
// killed.
[[noreturn]] void WriteUntilKilled(const std::string& path, int pipe) {
  auto store = Store::Open(OptionsFor(path));
  if (!store.ok()) _exit(3);
  auto unfinished = (*store)->LoadUnfinished();
  if (!unfinished.ok()) _exit(4);
  (*store)->Start();
  uint64_t sequence = 0;
  if (unfinished->empty()) {
    StoreWrite write;
    write.new_job.emplace();
    write.new_job->id = kJobId;
    write.new_job->caller = "cert=op";
    (*store)->PostWrite(std::move(write), Store::OnFailure::kRetry, nullptr);
  } else {
    sequence = unfinished->front().status.job().last_sequence();
  }
  std::atomic<int> waiting{0};
  while (true) {
    while (waiting >= 50) usleep(100);
    ++waiting;
    const uint64_t number = ++sequence;
    (*store)->PostWrite(Event(number), Store::OnFailure::kRetry,
                        [&waiting, number, pipe](absl::Status status) {
                          --waiting;
                          if (!status.ok()) _exit(5);
                          if (write(pipe, &number, sizeof(number)) < 0) _exit(6);
                        });
  }
}

TEST(StoreCrash, WhatIsDurableSurvivesAndNothingIsHalf) {
  std::string directory = testing::TempDir() + "/crashXXXXXX";
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/orch.db";
  std::mt19937 random(7);
  uint64_t before = 0;
  for (int round = 0; round < 25; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      WriteUntilKilled(path, ends[1]);
    }
    close(ends[1]);
    uint64_t durable = 0, number = 0;
    const uint64_t kill_after = before + 1 + random() % 300;
    bool killed = false;
    while (read(ends[0], &number, sizeof(number)) == sizeof(number)) {
      EXPECT_GT(number, durable) << "completions come in order";
      durable = number;
      if (!killed && durable >= kill_after) {
        kill(child, SIGKILL);
        killed = true;
      }
    }
    close(ends[0]);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);

    auto rows = StoreRows::Open(path);
    ASSERT_TRUE(rows.ok()) << rows.status();
    auto job = (*rows)->GetJob(kJobId);
    ASSERT_TRUE(job.ok()) << job.status();
    EXPECT_GE(job->last_sequence(), durable);
    auto events = (*rows)->ReadEvents(kJobId, 0, SIZE_MAX);
    ASSERT_TRUE(events.ok()) << events.status();
    ASSERT_EQ(events->size(), job->last_sequence());
    for (size_t i = 0; i < events->size(); ++i) ASSERT_EQ((*events)[i]->sequence(), i + 1);
    before = job->last_sequence();
  }
}

}  // namespace
}  // namespace orch::controller
