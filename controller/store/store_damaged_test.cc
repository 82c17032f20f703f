// SPDX-License-Identifier: Apache-2.0
// Records that can't be read, and what is done so that there are none.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "controller/store/store_fixture.h"

namespace orch::controller {
namespace {

TEST_F(StoreTest, TextThatIsNoUtf8CanBeReadBack) {
  Start();
  auto job = NewJob();
  job->OnPublishing(job->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
  orch::bus::v1::Reply reply;
  reply.set_node("a");
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
  reply.mutable_outcome()->mutable_result()->mutable_puppet_run()->add_errors()->set_message(
      "\xe3\x81");
  job->Apply(reply, now());
  Save(job.get());
  const std::string id = job->setup().id;
  const auto events =
      Read<Events>([id](StoreRows* rows) { return rows->ReadEvents(id, 0, 1 << 20); });
  ASSERT_TRUE(events.ok()) << events.status();
  EXPECT_EQ(events->back()->node().result().puppet_run().errors(0).message(),
            "\xef\xbf\xbd\xef\xbf\xbd");
}

// A store that an older version, or a bad disk, left behind.
class DamagedStoreTest : public StoreTest {
 protected:
  // A job whose node a has failed and whose node b has not been heard.
  std::string OneDownOneOpen(const std::string& message) {
    Start();
    auto job = NewJob();
    job->OnPublishing(job->TakeStarts(500, now()), now().wall + absl::Seconds(60), now());
    orch::bus::v1::Reply reply;
    reply.set_node("a");
    reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
    reply.mutable_outcome()->set_message(message);
    job->Apply(reply, now());
    Save(job.get());
    last_ = job->last_sequence();
    store_.reset();
    return job->setup().id;
  }
  void Execute(const std::string& sql) {
    auto database = base::Database::Open({.name = "store", .path = path_});
    ASSERT_TRUE(database.ok()) << database.status();
    const absl::Status status = (*database)->Execute(sql.c_str());
    ASSERT_TRUE(status.ok()) << status;
  }
  // In each event, the bytes `from`.
  void Rewrite(const std::string& from, const std::string& to) {
    auto database = base::Database::Open({.name = "store", .path = path_});
    ASSERT_TRUE(database.ok()) << database.status();
    std::vector<std::pair<int64_t, std::string>> events;
    {
      base::Statement select = (*database)->Prepare("SELECT id, event FROM events");
      while (*select.Next()) {
        events.emplace_back(select.IntAt(0), absl::StrReplaceAll(select.BytesAt(1), {{from, to}}));
      }
    }
    for (const auto& [id, event] : events) {
      base::Statement update = (*database)->Prepare("UPDATE events SET event=? WHERE id=?");
      ASSERT_TRUE(update.Blob(event).Int(id).Run().ok());
    }
  }
  Page<orch::v1::JobNode> List(const std::string& id) {
    NodesQuery query;
    query.job_id = id;
    query.limit = 10;
    auto nodes =
        Read<Page<orch::v1::JobNode>>([query](StoreRows* rows) { return rows->ListNodes(query); });
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    return nodes.ok() ? *nodes : Page<orch::v1::JobNode>();
  }
  Events Log(const std::string& id) {
    auto events = Read<Events>([id](StoreRows* rows) { return rows->ReadEvents(id, 0, 1 << 20); });
    EXPECT_TRUE(events.ok()) << events.status();
    return events.ok() ? *events : Events();
  }
  orch::v1::Job Get(const std::string& id) {
    auto job = Read<orch::v1::Job>([id](StoreRows* rows) { return rows->GetJob(id); });
    EXPECT_TRUE(job.ok()) << job.status();
    return job.ok() ? *job : orch::v1::Job();
  }

  uint64_t last_ = 0;
};

TEST_F(DamagedStoreTest, AnOlderVersionsTextsAreHealed) {
  const std::string id = OneDownOneOpen(std::string(4094, 'a') + "é");
  // As the version before cut it, and its late evidence.
  Rewrite("é",
          "\xc3"
          "a");
  Execute("UPDATE job_nodes SET late_evidence=CAST(x'61e381' AS TEXT) WHERE node='b'");
  Start();
  const Page<orch::v1::JobNode> nodes = List(id);
  ASSERT_EQ(nodes.items.size(), 2u);
  EXPECT_EQ(nodes.items[0].state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(nodes.items[0].message(), std::string(4094, 'a') +
                                          "\xef\xbf\xbd"
                                          "a");
  EXPECT_EQ(nodes.items[1].late_evidence(), "a\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(Log(id).size(), last_);
}

TEST_F(DamagedStoreTest, ADamagedEventHidesNothingElse) {
  const std::string id = OneDownOneOpen("it failed");
  Execute("UPDATE events SET event=x'ffffff'");
  Start();
  const Page<orch::v1::JobNode> nodes = List(id);
  ASSERT_EQ(nodes.items.size(), 2u);
  EXPECT_EQ(nodes.items[0].node(), "a");
  EXPECT_EQ(nodes.items[0].state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_NE(nodes.items[0].message().find("is damaged"), std::string::npos);
  EXPECT_EQ(nodes.items[1].message(), "");
  const Events events = Log(id);
  ASSERT_EQ(events.size(), last_);
  EXPECT_EQ(events.front()->started().nodes_size(), 2);
  for (uint64_t i = 0; i < last_; ++i) EXPECT_EQ(events[i]->sequence(), i + 1);
  EXPECT_EQ(events.back()->node().node(), "a");
  EXPECT_EQ(events.back()->node().state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_NE(events.back()->node().message().find("is damaged"), std::string::npos);
}

TEST_F(DamagedStoreTest, ADamagedJobIsShownAndGivenUp) {
  const std::string id = OneDownOneOpen("it failed");
  for (const char* column : {"record", "status"}) {
    Execute(absl::StrCat("UPDATE jobs SET end_ms=NULL, state=2, ", column, "=x'ffffff'"));
    Start();
    const orch::v1::Job shown = Get(id);
    EXPECT_EQ(shown.name(), "jobs/" + id);
    EXPECT_EQ(shown.caller(), "cert=op");
    EXPECT_NE(shown.message().find("is damaged"), std::string::npos);
    EXPECT_EQ(List(id).items.size(), 2u);
    store_.reset();
    Open();
    const auto unfinished = store_->LoadUnfinished();
    ASSERT_TRUE(unfinished.ok()) << unfinished.status();
    EXPECT_TRUE(unfinished->empty());
    store_->Start();
    const orch::v1::Job ended = Get(id);
    EXPECT_EQ(ended.state(), orch::v1::JOB_STATE_FAILED);
    EXPECT_TRUE(ended.has_end_time());
    EXPECT_EQ(ended.last_sequence(), ++last_);
    EXPECT_TRUE(Log(id).back()->has_finished());
    store_.reset();
  }
}

TEST_F(DamagedStoreTest, AJobWithADamagedRequestStartsNothingAgain) {
  const std::string id = OneDownOneOpen("it failed");
  Execute("INSERT INTO requests SELECT x'00', key, x'ffffff' FROM jobs");
  Open();
  const auto unfinished = store_->LoadUnfinished();
  ASSERT_TRUE(unfinished.ok()) << unfinished.status();
  EXPECT_TRUE(unfinished->empty());
  store_->Start();
  EXPECT_EQ(Get(id).state(), orch::v1::JOB_STATE_FAILED);
  EXPECT_NE(Get(id).message().find("could not be taken up again"), std::string::npos);
  EXPECT_EQ(List(id).items.at(0).message(), "it failed");
}

}  // namespace
}  // namespace orch::controller
