// SPDX-License-Identifier: Apache-2.0
#include "controller/store/store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "base/status.h"
#include "controller/store/store_fixture.h"

namespace orch::controller {
namespace {

TEST_F(StoreTest, KeepsAJob) {
  Start();
  auto job = NewJob();
  const std::string id = job->setup().id;
  auto got = Read<orch::v1::Job>([id](StoreRows* rows) { return rows->GetJob(id); });
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->SerializeAsString(), job->Snapshot(true).SerializeAsString());
  EXPECT_EQ(Read<orch::v1::Job>([](StoreRows* rows) { return rows->GetJob("x"); }).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, NodesCarryTheirLastEvent) {
  Start();
  auto job = NewJob();
  job->OnPublishing(job->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
  Say(job.get(), "b", orch::v1::NODE_STATE_REFUSED);
  Save(job.get());
  NodesQuery query;
  query.job_id = job->setup().id;
  query.limit = 10;
  using Nodes = Page<orch::v1::JobNode>;
  auto list = [this, &query] {
    return Read<Nodes>([query](StoreRows* rows) { return rows->ListNodes(query); });
  };
  auto nodes = list();
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  ASSERT_EQ(nodes->items.size(), 2u);
  EXPECT_FALSE(nodes->more);
  EXPECT_EQ(nodes->items[0].state(), orch::v1::NODE_STATE_PENDING);
  EXPECT_EQ(nodes->items[0].name(), "jobs/" + query.job_id + "/nodes/a");
  EXPECT_EQ(nodes->items[1].message(), "said");
  query.states = {orch::v1::NODE_STATE_REFUSED};
  EXPECT_EQ(list()->items.size(), 1u);
  query.states = {};
  query.limit = 1;
  EXPECT_TRUE(list()->more);
  query.after_node = "a";
  EXPECT_EQ(list()->items.at(0).node(), "b");
  EXPECT_FALSE(list()->more);
}

TEST_F(StoreTest, PagesAreBoundedInBytes) {
  Start();
  auto job = NewJob();
  job->OnPublishing(job->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
  for (const char* node : {"a", "b"}) {
    orch::bus::v1::Reply reply;
    reply.set_node(node);
    reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
    auto* run = reply.mutable_outcome()->mutable_result()->mutable_puppet_run();
    run->add_errors()->set_message(std::string(kStorePageBytesMax * 2 / 3, 'x'));
    job->Apply(reply, now());
  }
  Save(job.get());
  NodesQuery query{.job_id = job->setup().id, .states = {}, .after_node = "", .limit = 10};
  const auto read = [&query](StoreRows* rows) { return rows->ListNodes(query); };
  auto page = Read<Page<orch::v1::JobNode>>(read);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->items.size(), 1u);
  EXPECT_TRUE(page->more);
  query.after_node = "a";
  EXPECT_EQ(Read<Page<orch::v1::JobNode>>(read)->items.at(0).node(), "b");
}

TEST_F(StoreTest, EventsInPiecesWithoutGaps) {
  Start();
  auto job = NewJob();
  const std::string id = job->setup().id;
  NewJob();  // its events are another's
  job->Cancel("cert=op", std::string(1000, 'x'), now());
  Save(job.get());
  uint64_t last = 0;
  int reads = 0;
  while (last < job->last_sequence()) {
    auto events =
        Read<Events>([id, last](StoreRows* rows) { return rows->ReadEvents(id, last, 1500); });
    ASSERT_TRUE(events.ok());
    ASSERT_FALSE(events->empty());
    for (const auto& event : *events) EXPECT_EQ(event->sequence(), ++last);
    ++reads;
  }
  EXPECT_GT(reads, 1);
  EXPECT_TRUE(Read<Events>([id, last](StoreRows* rows) {
                return rows->ReadEvents(id, last, 99);
              })->empty());
}

TEST_F(StoreTest, ListsJobsNewestFirst) {
  Start();
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(NewJob(i % 2 == 0 ? "cert=even" : "cert=odd")->setup().id);
  }
  JobRowsQuery query;
  query.limit = 2;
  using Jobs = Page<orch::v1::Job>;
  auto list = [this, &query] {
    auto jobs = Read<Jobs>([query](StoreRows* rows) { return rows->ListJobs(query); });
    EXPECT_TRUE(jobs.ok()) << jobs.status();
    std::vector<std::string> names;
    for (const auto& job : jobs->items) names.push_back(job.name().substr(5));
    return names;
  };
  EXPECT_EQ(list(), (std::vector<std::string>{ids[4], ids[3]}));
  query.after_id = ids[3];
  EXPECT_EQ(list(), (std::vector<std::string>{ids[2], ids[1]}));
  query.caller = "cert=even";
  EXPECT_EQ(list(), (std::vector<std::string>{ids[2], ids[0]}));
  query.states = {orch::v1::JOB_STATE_SUCCEEDED};
  EXPECT_TRUE(list().empty());
}

TEST_F(StoreTest, ListsOnlyWhatMatchesAndSaysWhereItGoesOn) {
  Start();
  std::vector<std::string> ids;
  for (int i = 0; i < 5; ++i) {
    ids.push_back(NewJob(i % 2 == 0 ? "cert=even" : "cert=odd")->setup().id);
  }
  JobRowsQuery query;
  query.limit = 1;
  query.matches = [](const orch::v1::Job& job) { return job.caller() == "cert=odd"; };
  using Jobs = Page<orch::v1::Job>;
  const auto list = [this, &query] {
    return *Read<Jobs>([query](StoreRows* rows) { return rows->ListJobs(query); });
  };
  Jobs page = list();
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].name(), "jobs/" + ids[3]);
  ASSERT_TRUE(page.more);
  query.after_id = page.last;
  page = list();
  EXPECT_EQ(page.items.at(0).name(), "jobs/" + ids[1]);
  EXPECT_FALSE(page.more);
  query.oldest_first = true;
  query.after_id = "";
  EXPECT_EQ(list().items.at(0).name(), "jobs/" + ids[1]);
  query.after_id = ids[1];
  EXPECT_EQ(list().items.at(0).name(), "jobs/" + ids[3]);
}

TEST_F(StoreTest, DifferencesExpire) {
  Start();
  auto job = NewJob();
  job->OnPublishing(job->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
  for (const char* node : {"a", "b"}) {
    orch::bus::v1::Reply reply;
    reply.set_node(node);
    reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_SUCCEEDED);
    auto* change = reply.mutable_outcome()->mutable_result()->mutable_puppet_run()->add_changes();
    change->set_resource("File[/etc/motd]");
    change->set_diff("-secret of yesterday");
    job->Apply(reply, now());
  }
  ASSERT_TRUE(job->ended());
  Save(job.get());
  const std::string id = job->setup().id;
  const auto diffs = [this, &id] {
    auto events = *Read<Events>([id](StoreRows* rows) { return rows->ReadEvents(id, 0, 1 << 20); });
    std::string all;
    for (const auto& event : events) {
      for (const auto& change : event->node().result().puppet_run().changes()) {
        all += change.diff() + change.diff_omitted() + "|";
      }
    }
    return all;
  };
  const auto expire = [this](absl::Time before) {
    return *Read<bool>([before](StoreRows* rows) { return rows->ExpireDiffs(before, 10); });
  };
  EXPECT_EQ(diffs(), "-secret of yesterday|-secret of yesterday|");
  EXPECT_FALSE(expire(now().wall - absl::Hours(1)));
  EXPECT_EQ(diffs(), "-secret of yesterday|-secret of yesterday|");
  EXPECT_FALSE(expire(now().wall + absl::Hours(1)));
  EXPECT_EQ(diffs(), "expired|expired|");
}

TEST_F(StoreTest, RemembersKeys) {
  Start();
  const std::string id = NewJob("cert=op", "key-1")->setup().id;
  const absl::Time wall = now().wall;
  using Key = std::optional<KnownKey>;
  auto find = [this](const std::string& caller, absl::Time time) {
    return *Read<Key>([=](StoreRows* rows) { return rows->FindKey(caller, "key-1", time); });
  };
  ASSERT_TRUE(find("cert=op", wall).has_value());
  EXPECT_EQ(find("cert=op", wall)->job_id, id);
  EXPECT_EQ(find("cert=op", wall)->body_digest, "body");
  EXPECT_FALSE(find("cert=other", wall).has_value());
  EXPECT_FALSE(find("cert=op", wall + absl::Hours(25)).has_value());
}

TEST_F(StoreTest, UnfinishedJobsComeBack) {
  Start();
  auto job = NewJob();
  auto over = NewJob();
  over->Cancel("cert=op", "", now());
  Save(over.get());
  const auto claimed = job->TakeStarts(1, now());
  StoreWrite write;
  StoredRequest request;
  request.set_request_id("0123456789abcdef");
  request.set_digest("digest");
  request.set_envelope("bytes");
  request.add_nodes("a");
  request.set_expire_ms(absl::ToUnixMillis(now().wall + absl::Seconds(60)));
  write.requests.emplace_back(job->setup().id, request);
  ASSERT_TRUE(Write(std::move(write)).ok());
  const orch::v1::Job before = job->Snapshot(false);
  store_.reset();
  Open();
  auto jobs = store_->LoadUnfinished();
  ASSERT_TRUE(jobs.ok()) << jobs.status();
  ASSERT_EQ(jobs->size(), 1u);
  const UnfinishedJob& found = jobs->front();
  EXPECT_EQ(found.status.job().SerializeAsString(), before.SerializeAsString());
  ASSERT_EQ(found.nodes.size(), 2u);
  EXPECT_NE(found.nodes[0].batch_expiry, absl::InfinitePast());
  EXPECT_EQ(found.nodes[1].batch_expiry, absl::InfinitePast());
  EXPECT_EQ(found.requests.at(0).envelope(), "bytes");
}

TEST_F(StoreTest, LateEvidenceNeedsOurRequest) {
  Start();
  auto job = NewJob();
  StoreWrite write;
  StoredRequest request;
  request.set_request_id("id");
  request.set_digest("digest");
  write.requests.emplace_back(job->setup().id, request);
  ASSERT_TRUE(Write(std::move(write)).ok());
  LateRow late{.job_id = job->setup().id,
               .request_id = "id",
               .request_digest = "digest",
               .node = "a",
               .state = orch::v1::NODE_STATE_SUCCEEDED,
               .evidence = "it had run"};
  NodesQuery query;
  query.job_id = late.job_id;
  query.limit = 1;
  auto evidence = [this, &query](const LateRow& row) {
    StoreWrite keep;
    keep.late = row;
    EXPECT_TRUE(Write(std::move(keep)).ok());
    return Read<Page<orch::v1::JobNode>>(
               [query](StoreRows* rows) { return rows->ListNodes(query); })
        ->items.at(0)
        .late_evidence();
  };
  LateRow forged = late;
  forged.request_digest = "other";
  EXPECT_EQ(evidence(forged), "");
  forged = late;
  forged.request_id = "other";
  EXPECT_EQ(evidence(forged), "");
  LateRow same = late;
  same.state = orch::v1::NODE_STATE_PENDING;
  EXPECT_EQ(evidence(same), "");
  EXPECT_EQ(evidence(late), "it had run");
}

TEST_F(StoreTest, TheRosterComesBack) {
  Start();
  StoreWrite write;
  StoredNode row;
  row.set_presence("p");
  row.set_facts("f");
  write.nodes = {{"a", row}, {"b", row}};
  ASSERT_TRUE(Write(std::move(write)).ok());
  StoreWrite forget;
  forget.nodes = {{"a", StoredNode()}};
  ASSERT_TRUE(Write(std::move(forget)).ok());
  store_.reset();
  Open();
  auto nodes = store_->LoadNodes();
  ASSERT_TRUE(nodes.ok());
  ASSERT_EQ(nodes->size(), 1u);
  EXPECT_EQ(nodes->front().first, "b");
  EXPECT_EQ(nodes->front().second.facts(), "f");
}

TEST_F(StoreTest, IsHeldByOneProcessAndMode0600) {
  Start();
  StoreOptions options;
  options.path = path_;
  auto second = Store::Open(options);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(StoreTest, ANewerSchemaIsRefused) {
  {
    auto database = base::Database::Open({.name = "store", .path = path_});
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE((*database)->Execute("PRAGMA user_version=99").ok());
  }
  StoreOptions options;
  options.path = path_;
  auto store = Store::Open(options);
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(std::string(store.status().message()).find("version 99"), std::string::npos);
}

TEST_F(StoreTest, NoDatabaseIsRefusedByName) {
  std::ofstream(path_) << "this is no database, but long enough to look like one, and then some";
  StoreOptions options;
  options.path = path_;
  auto store = Store::Open(options);
  ASSERT_FALSE(store.ok());
  EXPECT_NE(std::string(store.status().message()).find(path_), std::string::npos);
}

TEST_F(StoreTest, OldJobsAreForgotten) {
  Open();
  store_.reset();
  jobs_kept_ = 3;
  std::vector<std::string> ids;
  Start();
  for (int i = 0; i < 8; ++i) {
    auto job = NewJob();
    ids.push_back(job->setup().id);
    if (i == 0) continue;  // the oldest still runs
    job->Cancel("cert=op", "", now());
    Save(job.get());
  }
  auto rows = StoreRows::Open(path_);
  ASSERT_TRUE(rows.ok());
  auto more = (*rows)->Prune(3, absl::InfinitePast(), 2, now().wall);
  ASSERT_TRUE(more.ok()) << more.status();
  EXPECT_TRUE(*more);
  more = (*rows)->Prune(3, absl::InfinitePast(), 10, now().wall);
  EXPECT_FALSE(*more);
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ((*rows)->GetJob(ids[i]).ok(), i == 0 || i >= 5) << i;
    EXPECT_EQ((*rows)->ReadEvents(ids[i], 0, 1 << 20).ok(), i == 0 || i >= 5) << i;
  }
}

TEST_F(StoreTest, AFullDiskRefusesKeepsAndRecovers) {
  Start();
  auto job = NewJob();
  const std::string id = job->setup().id;
  auto limit = [this](int64_t pages) {
    return Read<bool>([pages](StoreRows* rows) -> absl::StatusOr<bool> {
      ORCH_RETURN_IF_ERROR(rows->LimitPages(pages));
      return true;
    });
  };
  ASSERT_TRUE(limit(1).ok());
  // An update must not be lost, a new job may be refused.
  StoredNode big;
  big.set_presence(std::string(1 << 20, 'x'));
  StoreWrite must;
  must.nodes = {{"a", big}};
  std::promise<absl::Status> written;
  store_->PostWrite(must, Store::OnFailure::kRetry,
                    [&written](absl::Status status) { written.set_value(status); });
  EXPECT_FALSE(Write(must).ok());
  EXPECT_FALSE(store_->ok());
  EXPECT_FALSE(Write({}).ok());
  auto got = Read<orch::v1::Job>([id](StoreRows* rows) { return rows->GetJob(id); });
  EXPECT_TRUE(got.ok()) << "reading goes on";
  ASSERT_TRUE(limit(1 << 30).ok());
  EXPECT_TRUE(written.get_future().get().ok());
  EXPECT_TRUE(store_->ok());
  EXPECT_TRUE(Write({}).ok());
}

}  // namespace
}  // namespace orch::controller
