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
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/store/store_key.h"
#include "controller/store/store_rows.h"

namespace orch::controller {
namespace {

bool Parse(absl::string_view bytes, google::protobuf::MessageLite* out) {
  return out->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

absl::Status Broken(const char* what) {
  return absl::DataLossError(absl::StrCat("store: a record in ", what, " does not parse"));
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

// `jobs.record` and `jobs.status` are in columns 0 and 1.
absl::StatusOr<orch::v1::Job> JobFrom(const Statement& row) {
  StoredJob record;
  StoredStatus status;
  if (!Parse(row.BytesAt(0), &record) || !Parse(row.BytesAt(1), &status)) return Broken("jobs");
  if (!status.has_job()) return std::move(*record.mutable_job());
  *status.mutable_job()->mutable_spec() = std::move(*record.mutable_job()->mutable_spec());
  return std::move(*status.mutable_job());
}

// Adds `item` to the page if there is room for it; else there is more.
template <typename T>
bool Fits(T& item, size_t limit, size_t* bytes, Page<T>* page) {
  *bytes += item.ByteSizeLong();
  page->more = page->items.size() >= limit || (*bytes > kStorePageBytesMax && !page->items.empty());
  if (page->more) return false;
  page->items.push_back(std::move(item));
  return true;
}

absl::Time TimeFrom(int64_t ms, absl::Time none) {
  return ms == 0 ? none : absl::FromUnixMillis(ms);
}

}  // namespace

absl::StatusOr<orch::v1::Job> StoreRows::GetJob(const std::string& id) {
  Statement query = database_->Prepare("SELECT record, status FROM jobs WHERE id=?");
  query.Text(id);
  ORCH_ASSIGN_OR_RETURN(const bool row, query.Next());
  if (!row) return absl::NotFoundError(absl::StrCat("there is no job jobs/", id));
  return JobFrom(query);
}

absl::StatusOr<Page<orch::v1::Job>> StoreRows::ListJobs(const JobsQuery& query) {
  // Ids are ULIDs, so their order is the order of creation; of one controller it is the keys', too.
  Statement select = database_->Prepare(
      "SELECT record, status FROM jobs WHERE (?1='' OR id < ?1) AND (?2='' OR caller=?2) "
      "AND ((?3 >> state) & 1) ORDER BY id DESC LIMIT ?4");
  select.Text(query.before_id).Text(query.caller).Int(StateMask(query.states));
  select.Int(static_cast<int64_t>(query.limit) + 1);
  Page<orch::v1::Job> page;
  size_t bytes = 0;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return page;
    ORCH_ASSIGN_OR_RETURN(orch::v1::Job job, JobFrom(select));
    if (!Fits(job, query.limit, &bytes, &page)) return page;
  }
}

absl::StatusOr<Page<orch::v1::JobNode>> StoreRows::ListNodes(const NodesQuery& query) {
  ORCH_ASSIGN_OR_RETURN(const int64_t key, KeyOf(query.job_id));
  Statement select = database_->Prepare(
      "SELECT n.node, n.state, n.send_ms, n.late_evidence, e.event FROM job_nodes n "
      "LEFT JOIN events e ON n.sequence > 0 AND e.id = ?1 + n.sequence "
      "WHERE n.job=?2 AND n.node > ?3 AND ((?4 >> n.state) & 1) ORDER BY n.node LIMIT ?5");
  select.Int(EventId(key, 0)).Int(key).Text(query.after_node).Int(StateMask(query.states));
  select.Int(static_cast<int64_t>(query.limit) + 1);
  Page<orch::v1::JobNode> page;
  size_t size = 0;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return page;
    orch::v1::JobNode node;
    const absl::string_view bytes = select.BytesAt(4);
    if (!bytes.empty()) {
      orch::v1::JobEvent event;
      if (!Parse(bytes, &event)) return Broken("events");
      node = std::move(*event.mutable_node());
    } else {
      node.set_node(std::string(select.BytesAt(0)));
      node.set_name(absl::StrCat("jobs/", query.job_id, "/nodes/", node.node()));
      node.set_state(static_cast<orch::v1::NodeState>(select.IntAt(1)));
      if (select.IntAt(2) != 0) {
        *node.mutable_send_time() = ToTimestamp(absl::FromUnixMillis(select.IntAt(2)));
      }
    }
    node.set_late_evidence(std::string(select.BytesAt(3)));
    if (!Fits(node, query.limit, &size, &page)) return page;
  }
}

absl::StatusOr<std::vector<std::shared_ptr<const orch::v1::JobEvent>>> StoreRows::ReadEvents(
    const std::string& id, uint64_t after_sequence, size_t bytes_max) {
  ORCH_ASSIGN_OR_RETURN(const int64_t key, KeyOf(id));
  std::vector<std::shared_ptr<const orch::v1::JobEvent>> events;
  if (after_sequence >= (uint64_t{1} << kSequenceBits) - 1) return events;
  Statement select =
      database_->Prepare("SELECT event FROM events WHERE id > ? AND id < ? ORDER BY id");
  select.Int(EventId(key, after_sequence)).Int(EventId(key + 1, 0));
  for (size_t bytes = 0; bytes < bytes_max;) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) break;
    auto event = std::make_shared<orch::v1::JobEvent>();
    if (!Parse(select.BytesAt(0), event.get())) return Broken("events");
    bytes += select.BytesAt(0).size();
    if (bytes > bytes_max && !events.empty()) break;
    events.push_back(std::move(event));
  }
  return events;
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

absl::StatusOr<std::vector<UnfinishedJob>> StoreRows::LoadUnfinished() {
  std::vector<std::pair<int64_t, UnfinishedJob>> found;
  {
    Statement select = database_->Prepare(
        "SELECT record, status, key FROM jobs WHERE end_ms IS NULL ORDER BY key");
    while (true) {
      ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
      if (!row) break;
      UnfinishedJob job;
      if (!Parse(select.BytesAt(0), &job.record) || !Parse(select.BytesAt(1), &job.status)) {
        return Broken("jobs");
      }
      found.emplace_back(select.IntAt(2), std::move(job));
    }
  }
  std::vector<UnfinishedJob> jobs;
  for (auto& [key, job] : found) {
    ORCH_RETURN_IF_ERROR(LoadNodesOf(key, &job));
    ORCH_RETURN_IF_ERROR(LoadRequestsOf(key, &job));
    jobs.push_back(std::move(job));
  }
  return jobs;
}

absl::Status StoreRows::LoadNodesOf(int64_t key, UnfinishedJob* job) {
  Statement select = database_->Prepare(
      "SELECT node, state, send_ms, deadline_ms FROM job_nodes WHERE job=? ORDER BY position");
  select.Int(key);
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) return absl::OkStatus();
    RestoredNode node;
    node.node = std::string(select.BytesAt(0));
    node.state = static_cast<orch::v1::NodeState>(select.IntAt(1));
    node.send_time = TimeFrom(select.IntAt(2), absl::InfinitePast());
    node.deadline = TimeFrom(select.IntAt(3), absl::InfiniteFuture());
    job->nodes.push_back(std::move(node));
  }
}

absl::Status StoreRows::LoadRequestsOf(int64_t key, UnfinishedJob* job) {
  Statement select = database_->Prepare("SELECT record FROM requests WHERE job=?");
  select.Int(key);
  absl::flat_hash_map<std::string, absl::Time> expiries;
  while (true) {
    ORCH_ASSIGN_OR_RETURN(const bool row, select.Next());
    if (!row) break;
    StoredRequest request;
    if (!Parse(select.BytesAt(0), &request)) return Broken("requests");
    for (const std::string& node : request.nodes()) {
      expiries[node] = absl::FromUnixMillis(request.expire_ms());
    }
    job->requests.push_back(std::move(request));
  }
  for (RestoredNode& node : job->nodes) {
    auto expiry = expiries.find(node.node);
    if (expiry != expiries.end()) node.batch_expiry = expiry->second;
  }
  return absl::OkStatus();
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
