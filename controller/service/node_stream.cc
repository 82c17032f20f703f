// SPDX-License-Identifier: Apache-2.0
#include <google/protobuf/util/time_util.h>

#include <map>
#include <set>

#include "controller/gate/node_walk.h"
#include "controller/service/out_stream.h"
#include "controller/service/watch_token.h"
#include "orch/v1/node_service.pb.h"

namespace orch::controller {

namespace asio = boost::asio;
using google::protobuf::util::TimeUtil;
using orch::v1::Node;
using orch::v1::WatchNodesResponse;

namespace {

// Nodes in one message.
constexpr size_t kNodesInMessageMax = 500;

// The nodes, or what changed of them since a token, then each change. What a slow reader has not
// taken yet is kept as one newest state a node, never as a list of changes. Where the policy
// decides by facts which nodes may be seen, each change is judged anew, and no token is given: what
// the caller was told of is then known to this stream alone.
class WatchNodesStream : public OutStream<WatchNodesResponse> {
 public:
  WatchNodesStream(std::shared_ptr<ServiceCore> core, CallerEvidence who,
                   orch::v1::WatchNodesRequest request)
      : OutStream(std::move(core), std::move(who)), request_(std::move(request)) {}

 private:
  void Begin() override {
    core().parts.gate->PostWatch(
        who(), OnStrand<WatchNodesStream, Watcher>([](WatchNodesStream* self, Watcher watcher) {
          self->watcher_ = std::move(watcher);
          self->AskForListing();
        }));
  }
  void AskForListing() {
    core().parts.gate->PostListing(
        who(), request_.target(),
        OnStrand<WatchNodesStream, Listing>([](WatchNodesStream* self, Listing listing) {
          self->listing_ = std::move(listing);
          self->Subscribe();
        }));
  }
  bool judged() const { return !listing_.decision.conditions.empty(); }

  void JudgeCaller() override {
    core().parts.gate->PostListing(
        who(), request_.target(),
        OnStrand<WatchNodesStream, Listing>([](WatchNodesStream* self, Listing listing) {
          if (self->reader_id_ == 0) return;
          self->listing_.decision = std::move(listing.decision);
        }));
  }

  // Changes first and then all: what changes in between is told twice rather than never.
  void Subscribe() {
    absl::StatusOr<WatchCursor> after = CursorOf("resume_token", request_.resume_token());
    if (!after.ok()) return End(after.status());
    if (after->process != 0 && judged()) {
      reset_ = true;
      *after = {};
    }
    resumed_ = after->process != 0;
    reader_id_ = NextReaderId();
    auto on_changed = [weak = weak_from_this()](NodeChanges changes) {
      const auto self = weak.lock();
      if (self == nullptr) return;
      auto* stream = static_cast<WatchNodesStream*>(self.get());
      asio::post(stream->strand(), [self, stream, changes = std::move(changes)]() mutable {
        stream->OnChanged(std::move(changes));
      });
    };
    core().parts.dispatcher.Post(
        [id = reader_id_, target = listing_.target, after = *after,
         on_changed](DispatcherApi& there) { there.WatchNodes(id, target, after, on_changed); });
  }

  void OnChanged(NodeChanges changes) {
    if (ended()) return;
    cursor_ = changes.cursor;
    for (const std::string& name : changes.gone) OnGone(name);
    if (!judged()) {
      for (Node& node : changes.nodes) Queue(std::move(node));
    } else {
      // Whether these may be seen depends on their facts, which are asked for.
      for (const Node& node : changes.nodes) to_judge_.insert(node.identity());
    }
    if (!std::exchange(begun_, true)) {
      if (changes.reset) {
        reset_ = true;
        resumed_ = false;
      }
      if (!resumed_) return Walk(listing_.target);
    }
    Wake();
    Judge();
  }

  // Told of only if the caller may have been told of the node.
  void OnGone(const std::string& name) {
    waiting_.erase(name);
    to_judge_.erase(name);
    const bool told = told_.erase(name) > 0;
    if (told || (resumed_ && told_gone_.insert(name).second)) gone_.insert(name);
  }

  void Judge() {
    if (walking_ || to_judge_.empty()) return;
    orch::v1::Target some;
    some.set_collective(listing_.target.collective());
    for (int i = 0; i < kNodesAtOnce && !to_judge_.empty(); ++i) {
      some.add_identities(*to_judge_.begin());
      to_judge_.erase(to_judge_.begin());
    }
    Walk(std::move(some));
  }

  void Walk(orch::v1::Target target) {
    walking_ = true;
    NodeWalk walk;
    walk.target = std::move(target);
    walk.sees = listing_.decision;
    walk.visit = [self = shared_from_this()](const Node& node, const target::NodeData*) {
      auto* stream = static_cast<WatchNodesStream*>(self.get());
      stream->Queue(node);
      return !stream->ended();
    };
    walk.done = [self = shared_from_this()](const absl::Status& status) {
      auto* stream = static_cast<WatchNodesStream*>(self.get());
      stream->walking_ = false;
      if (!status.ok()) return stream->End(status);
      stream->Wake();
      stream->Judge();
    };
    PostNodeWalk(core().parts.dispatcher, strand(), std::move(walk));
  }

  void Queue(Node node) {
    node.clear_facts();
    node.clear_classes();
    gone_.erase(node.identity());
    told_gone_.erase(node.identity());
    told_.insert(node.identity());
    waiting_[node.identity()] = std::move(node);
  }

  void Next() override {
    const bool complete = begun_ && !walking_ && to_judge_.empty();
    const bool synced = complete && !judged() && std::exchange(say_cursor_, false);
    if (waiting_.empty() && gone_.empty() && !reset_ && !synced) return;
    WatchNodesResponse message;
    message.set_reset(std::exchange(reset_, false));
    while (!gone_.empty() && message.removed_size() < static_cast<int>(kNodesInMessageMax)) {
      message.add_removed(*gone_.begin());
      gone_.erase(gone_.begin());
    }
    while (!waiting_.empty() && message.nodes_size() < static_cast<int>(kNodesInMessageMax)) {
      message.mutable_nodes()->Add(std::move(waiting_.begin()->second));
      waiting_.erase(waiting_.begin());
    }
    if (complete && !judged() && waiting_.empty() && gone_.empty()) {
      message.set_resume_token(TokenOf(cursor_));
    }
    Write(std::move(message));
  }
  void OnEnded() override {
    if (reader_id_ != 0) {
      core().parts.dispatcher.Post(
          [id = reader_id_](DispatcherApi& there) { there.ForgetRead(id); });
    }
    watcher_.slot.reset();
    waiting_.clear();
    to_judge_.clear();
    told_.clear();
  }
  void FillHeartbeat(WatchNodesResponse* out) override {
    *out->mutable_heartbeat()->mutable_time() = TimeUtil::GetCurrentTime();
  }

  // On the strand only.
  const orch::v1::WatchNodesRequest request_;
  Watcher watcher_;
  Listing listing_;
  uint64_t reader_id_ = 0;
  bool walking_ = false;
  bool begun_ = false;                   // it is known where the watch begins
  bool resumed_ = false;                 // what an earlier stream told is not known
  bool reset_ = false;                   // to be said with the next message
  bool say_cursor_ = true;               // the first listing's end is said even if nobody is in it
  WatchCursor cursor_;                   // of what was queued
  std::map<std::string, Node> waiting_;  // bounded by the roster, as the following are
  std::set<std::string> to_judge_;
  std::set<std::string> gone_;       // to be told
  std::set<std::string> told_;       // nodes that the caller knows of
  std::set<std::string> told_gone_;  // after a resume: that they are gone
};

}  // namespace

grpc::ServerWriteReactor<WatchNodesResponse>* StartWatchNodes(std::shared_ptr<ServiceCore> core,
                                                              CallerEvidence who,
                                                              orch::v1::WatchNodesRequest request) {
  absl::Status known = ValidateKnown(request);
  auto stream =
      std::make_shared<WatchNodesStream>(std::move(core), std::move(who), std::move(request));
  stream->PostStart(std::move(known));
  return stream.get();
}

}  // namespace orch::controller
