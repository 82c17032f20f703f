// SPDX-License-Identifier: Apache-2.0

// StoreRows' reading half. Reads run on the store thread between commits, so they see whole
// transactions and need no lock. Each answer is bounded twice, by number and by bytes: a page that
// is cut short says so, because a thousand nodes with large results would not fit into one message
// of gRPC. Outcomes are stored once, as the event that announced them, and a node's row points to
// it by sequence number; two copies could differ. A record of a job that does not parse is an
// error; one of the roster is skipped, since the node will speak again.

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "api/names.h"
#include "api/wire_text.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "base/text.h"
#include "controller/store/store_key.h"
#include "controller/store/store_rows.h"

namespace orch::controller {
namespace {

using base::Statement;

// What is said of a record that can't be read, where its message would be. Older versions wrote
// texts that were no UTF-8, and disks lose bits: one such record hides nothing but itself.
constexpr char kDamaged[] = "the record of this in the controller's store is damaged";
constexpr char kGivenUp[] =
    "a record of this job in the controller's store is damaged, so it could not be taken up again "
    "after a restart; what its nodes did since then is not known";

// False: it is damaged.
bool Parse(absl::string_view bytes, google::protobuf::Message* out) {
  return api::ParseHealing(bytes, out) != api::Parsed::kBroken;
}

// A bit for each state that is asked for; none asked means all.
template <typename State>
int64_t StateMask(const std::vector<State>& states) {
  int64_t mask = 0;
  for (State state : states) {
    if (state >= 0 && state < 63) mask |= int64_t{1} << state;
  }
  return states.empty() ? -1 : mask;
}

// Columns 0 to 5 are record, status, id, caller, state, end_ms. Of a damaged job the latter still
// tell whose it is and how it stands. `*whole` becomes false there.
orch::v1::Job JobFrom(const Statement& row, bool* whole) {
  StoredJob record;
  StoredStatus status;
  *whole = Parse(row.BytesAt(0), &record) & Parse(row.BytesAt(1), &status);
  orch::v1::Job job = std::move(status.has_job() ? *status.mutable_job() : *record.mutable_job());
  if (status.has_job()) *job.mutable_spec() = std::move(*record.mutable_job()->mutable_spec());
  if (*whole) return job;
  job.set_name(api::JobName(row.BytesAt(2)));
  job.set_caller(std::string(row.BytesAt(3)));
  job.set_state(static_cast<orch::v1::JobState>(row.IntAt(4)));
  if (row.IntAt(5) != 0) {
    *job.mutable_end_time() = ToTimestamp(absl::FromUnixMillis(row.IntAt(5)));
  }
  job.set_message(kDamaged);
  return job;
}

// A node of a job as its row tells it, without what its last event says. Columns 0 to 2 are node,
// state, send_ms.
orch::v1::JobNode NodeFrom(const Statement& row, const std::string& job_id) {
  orch::v1::JobNode node;
  node.set_node(std::string(row.BytesAt(0)));
  node.set_name(api::JobNodeName(job_id, node.node()));
  node.set_state(static_cast<orch::v1::NodeState>(row.IntAt(1)));
  if (row.IntAt(2) != 0) {
    *node.mutable_send_time() = ToTimestamp(absl::FromUnixMillis(row.IntAt(2)));
  }
  return node;
}

// Puts rows into a page until it is full, or too many rows were looked at in vain.
template <typename T>
class PageFiller {
 public:
  PageFiller(size_t limit, const std::function<bool(const T&)>& matches)
      : limit_(limit), matches_(matches) {}
  // False: the page ends before this row, whose id or name is `key`.
  bool Take(absl::string_view key, T item) {
    if (looked_at_ >= kStoreRowsLookedAtMax) return End();
    const bool matches = matches_ == nullptr || matches_(item);
    if (matches) {
      bytes_ += item.ByteSizeLong();
      const bool full = page_.items.size() >= limit_;
      if (full || (bytes_ > kStorePageBytesMax && !page_.items.empty())) return End();
      page_.items.push_back(std::move(item));
    }
    // What matches is behind the page's end only if it is in it.
    looked_at_ += matches_ != nullptr;
    page_.last = std::string(key);
    return true;
  }
  Page<T> page() && { return std::move(page_); }

 private:
  bool End() {
    page_.more = true;
    return false;
  }

  const size_t limit_;
  const std::function<bool(const T&)>& matches_;
  size_t looked_at_ = 0;
  size_t bytes_ = 0;
  Page<T> page_;
};

absl::Time TimeFrom(int64_t ms, absl::Time none) {
  return ms == 0 ? none : absl::FromUnixMillis(ms);
}

}  // namespace

absl::StatusOr<orch::v1::Job> StoreRows::GetJob(const std::string& id) {
  Statement query = database_->Prepare(
      "SELECT record, status, id, caller, state, end_ms, key FROM jobs WHERE id=?");
  query.Text(id);
  ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
  if (!row) return absl::NotFoundError(absl::StrCat("there is no job jobs/", id));
  bool whole = true;
  orch::v1::Job job = JobFrom(query, &whole);
  if (!whole) {
    ORCH_ASSIGN_OR_RETURN(const uint64_t last, LastSequence(query.IntAt(6)));
    job.set_last_sequence(last);
  }
  return job;
}

absl::StatusOr<Page<orch::v1::Job>> StoreRows::ListJobs(const JobRowsQuery& query) {
  // Ids are ULIDs, so their order is the order of creation; of one controller it is the keys', too.
  Statement select = database_->Prepare(
      query.oldest_first
          ? "SELECT record, status, id, caller, state, end_ms FROM jobs WHERE id > ?1 AND "
            "(?2='' OR caller=?2) AND ((?3 >> state) & 1) ORDER BY id LIMIT ?4"
          : "SELECT record, status, id, caller, state, end_ms FROM jobs WHERE "
            "(?1='' OR id < ?1) AND (?2='' OR caller=?2) AND ((?3 >> state) & 1) "
            "ORDER BY id DESC LIMIT ?4");
  select.Text(query.after_id).Text(query.caller).Int(StateMask(query.states));
  // One more than fits tells that there is more.
  select.Int(query.matches == nullptr ? static_cast<int64_t>(query.limit) + 1
                                      : static_cast<int64_t>(kStoreRowsLookedAtMax) + 1);
  PageFiller<orch::v1::Job> page(query.limit, query.matches);
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return std::move(page).page();
    bool whole = true;
    if (!page.Take(select.BytesAt(2), JobFrom(select, &whole))) return std::move(page).page();
  }
}

absl::StatusOr<std::vector<orch::v1::Job>> StoreRows::ListEnded(absl::Time since, int most) {
  Statement select = database_->Prepare(
      "SELECT record, status, id, caller, state, end_ms FROM jobs WHERE end_ms >= ? "
      "ORDER BY end_ms DESC LIMIT ?");
  select.Int(absl::ToUnixMillis(since)).Int(most);
  std::vector<orch::v1::Job> jobs;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) break;
    bool whole = true;
    jobs.push_back(JobFrom(select, &whole));
  }
  std::reverse(jobs.begin(), jobs.end());
  return jobs;
}

absl::StatusOr<Page<orch::v1::JobNode>> StoreRows::ListNodes(const NodesQuery& query) {
  ORCH_ASSIGN_OR_RETURN(const int64_t key, KeyOf(query.job_id));
  Statement select = database_->Prepare(
      "SELECT n.node, n.state, n.send_ms, n.late_evidence, e.event FROM job_nodes n "
      "LEFT JOIN events e ON n.sequence > 0 AND e.id = ?1 + n.sequence "
      "WHERE n.job=?2 AND n.node > ?3 AND ((?4 >> n.state) & 1) AND (?6 = '' OR n.node = ?6) "
      "ORDER BY n.node LIMIT ?5");
  select.Int(EventId(key, 0)).Int(key).Text(query.after_node).Int(StateMask(query.states));
  select.Int(query.matches == nullptr ? static_cast<int64_t>(query.limit) + 1
                                      : static_cast<int64_t>(kStoreRowsLookedAtMax) + 1);
  select.Text(query.node);
  PageFiller<orch::v1::JobNode> page(query.limit, query.matches);
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return std::move(page).page();
    orch::v1::JobNode node = NodeFrom(select, query.job_id);
    orch::v1::JobEvent event;
    const bool whole = Parse(select.BytesAt(4), &event);
    if (event.has_node()) node = std::move(*event.mutable_node());
    if (!whole) node.set_message(kDamaged);
    const absl::string_view late = select.BytesAt(3);
    node.set_late_evidence(base::ToUtf8(late, 3 * late.size()));
    if (!page.Take(select.BytesAt(0), std::move(node))) return std::move(page).page();
  }
}

absl::StatusOr<std::vector<std::shared_ptr<const orch::v1::JobEvent>>> StoreRows::ReadEvents(
    const std::string& id, uint64_t after_sequence, size_t bytes_max) {
  ORCH_ASSIGN_OR_RETURN(const int64_t key, KeyOf(id));
  std::vector<std::shared_ptr<const orch::v1::JobEvent>> events;
  if (after_sequence >= (uint64_t{1} << kSequenceBits) - 1) return events;
  Statement select =
      database_->Prepare("SELECT event, id FROM events WHERE id > ? AND id < ? ORDER BY id");
  select.Int(EventId(key, after_sequence)).Int(EventId(key + 1, 0));
  for (size_t bytes = 0; bytes < bytes_max;) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) break;
    auto event = std::make_shared<orch::v1::JobEvent>();
    if (!Parse(select.BytesAt(0), event.get())) {
      event->set_sequence(static_cast<uint64_t>(select.IntAt(1) - EventId(key, 0)));
      ORCH_RETURN_IF_ERROR(FillDamaged(key, id, event.get()));
    }
    bytes += select.BytesAt(0).size();
    if (bytes > bytes_max && !events.empty()) break;
    events.push_back(std::move(event));
  }
  return events;
}

absl::Status StoreRows::FillDamaged(int64_t key, const std::string& id, orch::v1::JobEvent* event) {
  {
    Statement select =
        database_->Prepare("SELECT node, state, send_ms FROM job_nodes WHERE job=? AND sequence=?");
    select.Int(key).Int(static_cast<int64_t>(event->sequence()));
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (row) {
      *event->mutable_node() = NodeFrom(select, id);
      event->mutable_node()->set_message(kDamaged);
      return absl::OkStatus();
    }
  }
  // Readers need the first event and the last one; any other is skipped by them.
  ORCH_ASSIGN_OR_RETURN(orch::v1::Job job, GetJob(id));
  job.set_message(kDamaged);
  if (event->sequence() == 1) {
    *event->mutable_started()->mutable_job() = std::move(job);
    Statement select =
        database_->Prepare("SELECT node FROM job_nodes WHERE job=? ORDER BY position");
    select.Int(key);
    while (true) {
      ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
      if (!row) return absl::OkStatus();
      event->mutable_started()->add_nodes(std::string(select.BytesAt(0)));
    }
  }
  if (IsEnd(job.state()) && job.last_sequence() == event->sequence()) {
    *event->mutable_finished() = std::move(job);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<KnownKey>> StoreRows::FindKey(const std::string& caller,
                                                           const std::string& key, absl::Time now) {
  Statement select = database_->Prepare(
      "SELECT body_digest, job_id FROM idempotency WHERE caller=? AND key=? AND time_ms>=?");
  select.Text(caller).Text(key).Int(absl::ToUnixMillis(now - kIdempotencyKept));
  ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
  if (!row) return std::optional<KnownKey>();
  return std::optional<KnownKey>(
      KnownKey{std::string(select.BytesAt(0)), std::string(select.BytesAt(1))});
}

absl::StatusOr<std::vector<UnfinishedJob>> StoreRows::LoadUnfinished(absl::Time now) {
  struct Found {
    int64_t key = 0;
    bool whole = true;
    orch::v1::Job shown;
    UnfinishedJob job;
  };
  std::vector<Found> found;
  {
    Statement select = database_->Prepare(
        "SELECT record, status, id, caller, state, end_ms, key FROM jobs WHERE end_ms IS NULL "
        "ORDER BY key");
    while (true) {
      ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
      if (!row) break;
      Found one;
      one.key = select.IntAt(6);
      one.shown = JobFrom(select, &one.whole);
      Parse(select.BytesAt(0), &one.job.record);
      Parse(select.BytesAt(1), &one.job.status);
      found.push_back(std::move(one));
    }
  }
  std::vector<UnfinishedJob> jobs;
  for (Found& one : found) {
    ORCH_RETURN_IF_ERROR(LoadNodesOf(one.key, &one.job));
    ORCH_ASSIGN_OR_RETURN(const bool requests_whole, LoadRequestsOf(one.key, &one.job));
    if (one.whole && requests_whole) {
      jobs.push_back(std::move(one.job));
      continue;
    }
    base::LogError("a job's record in the store is damaged: it is given up",
                   {{"job_id", api::JobIdOf(one.shown.name())}, {"caller", one.shown.caller()}});
    ORCH_RETURN_IF_ERROR(GiveUp(one.key, std::move(one.shown), now));
  }
  return jobs;
}

absl::StatusOr<uint64_t> StoreRows::LastSequence(int64_t key) {
  Statement select = database_->Prepare("SELECT MAX(id) FROM events WHERE id>? AND id<?");
  select.Int(EventId(key, 0)).Int(EventId(key + 1, 0));
  ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
  const int64_t last = row ? select.IntAt(0) : 0;
  return last == 0 ? 0 : static_cast<uint64_t>(last - EventId(key, 0));
}

absl::Status StoreRows::GiveUp(int64_t key, orch::v1::Job job, absl::Time now) {
  ORCH_ASSIGN_OR_RETURN(const uint64_t last, LastSequence(key));
  job.set_state(orch::v1::JOB_STATE_FAILED);
  job.set_message(kGivenUp);
  job.set_last_sequence(last + 1);
  *job.mutable_end_time() = ToTimestamp(now);
  auto event = std::make_shared<orch::v1::JobEvent>();
  event->set_sequence(last + 1);
  *event->mutable_time() = ToTimestamp(now);
  *event->mutable_finished() = job;
  JobUpdate update;
  update.id = std::string(api::JobIdOf(job.name()));
  job.clear_spec();
  *update.status.mutable_job() = std::move(job);
  update.changes.events.push_back(std::move(event));
  return ApplyUpdate(update);
}

absl::Status StoreRows::LoadNodesOf(int64_t key, UnfinishedJob* job) {
  Statement select = database_->Prepare(
      "SELECT n.node, n.state, n.send_ms, n.deadline_ms, e.event FROM job_nodes n "
      "LEFT JOIN events e ON n.sequence > 0 AND e.id = ?1 + n.sequence AND n.state IN (?3, ?4) "
      "WHERE n.job=?2 ORDER BY n.position");
  select.Int(EventId(key, 0)).Int(key);
  select.Int(orch::v1::NODE_STATE_ACCEPTED).Int(orch::v1::NODE_STATE_RUNNING);
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return absl::OkStatus();
    RestoredNode node;
    node.node = std::string(select.BytesAt(0));
    node.state = static_cast<orch::v1::NodeState>(select.IntAt(1));
    node.send_time = TimeFrom(select.IntAt(2), absl::InfinitePast());
    node.deadline = TimeFrom(select.IntAt(3), absl::InfiniteFuture());
    orch::v1::JobEvent event;
    if (!select.BytesAt(4).empty() && Parse(select.BytesAt(4), &event)) {
      const orch::v1::JobNode& told = event.node();
      if (told.has_accept_time()) node.accept_time = ToTime(told.accept_time());
      if (told.has_start_time()) node.start_time = ToTime(told.start_time());
    }
    job->nodes.push_back(std::move(node));
  }
}

absl::StatusOr<bool> StoreRows::LoadRequestsOf(int64_t key, UnfinishedJob* job) {
  Statement select = database_->Prepare("SELECT record FROM requests WHERE job=?");
  select.Int(key);
  absl::flat_hash_map<std::string, absl::Time> expiries;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) break;
    StoredRequest request;
    if (!Parse(select.BytesAt(0), &request)) return false;
    for (const std::string& node : request.nodes()) {
      expiries[node] = absl::FromUnixMillis(request.expire_ms());
    }
    job->requests.push_back(std::move(request));
  }
  for (RestoredNode& node : job->nodes) {
    auto expiry = expiries.find(node.node);
    if (expiry != expiries.end()) node.batch_expiry = expiry->second;
  }
  return true;
}

absl::StatusOr<std::vector<std::pair<std::string, StoredNode>>> StoreRows::LoadNodes() {
  Statement select = database_->Prepare("SELECT node, record FROM nodes");
  std::vector<std::pair<std::string, StoredNode>> nodes;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return nodes;
    StoredNode node;
    // Only a cache: what does not parse is heard of again.
    if (Parse(select.BytesAt(1), &node)) nodes.emplace_back(select.BytesAt(0), std::move(node));
  }
}

}  // namespace orch::controller
