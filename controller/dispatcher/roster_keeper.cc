// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/roster_keeper.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "base/status.h"
#include "controller/mail/outbox.h"
#include "controller/store/store.h"

namespace orch::controller {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(500);
constexpr absl::Duration kSweep = absl::Seconds(2);
constexpr absl::Duration kAskAgainMax = absl::Hours(1);

}  // namespace

RosterKeeper::RosterKeeper(DispatcherContext* context,
                           std::function<void(const std::string&)> on_back)
    : context_(context),
      on_back_(std::move(on_back)),
      timer_(context->strand, context->clock),
      process_(context->random->Next64() | 1) {}

void RosterKeeper::Start() { Tick(); }

void RosterKeeper::Stop() {
  stopped_ = true;
  timer_.cancel();
  watchers_.clear();
}

void RosterKeeper::Tick() {
  timer_.expires_after(kTick);
  timer_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    auto self = weak.lock();
    if (error || self == nullptr || self->stopped_) return;
    const base::Now now = self->context_->clock->Read();
    if (now.steady >= self->sweep_at_) {
      self->context_->roster->OnTime(now);
      self->sweep_at_ = now.steady + kSweep;
    }
    self->TellWatchers(now);
    self->StoreSome();
    if (self->context_->connected) {
      if (self->ask_everybody_) self->AskEverybody(now);
      self->AskSome(now);
    }
    self->Tick();
  });
}

void RosterKeeper::OnConnected() {
  // Nodes that spoke while this process was not there would be missing for a presence interval.
  ask_everybody_ = true;
  const base::Now now = context_->clock->Read();
  // What was asked before may have been lost, or its answer.
  for (auto& [node, ask] : asks_) ask.next = now.steady;
  AskEverybody(now);
}

void RosterKeeper::AskEverybody(base::Now now) {
  const absl::Duration pause = context_->options.everybody_pause;
  if (everybody_asked_.has_value() && now.steady - *everybody_asked_ < pause) return;
  ask_everybody_ = false;
  const bool first = !std::exchange(everybody_asked_, now.steady).has_value();
  context_->roster->OnAsked(now);
  for (const std::string& collective : context_->options.collectives) {
    SendQuery(collective, {}, /*facts=*/false, /*certificates=*/first);
  }
}

void RosterKeeper::OnPresence(OpenedPresence opened, base::Now now) {
  ORCH_CHECK_ON(context_->strand);
  const std::string node = opened.presence.node();
  if (opened.presence.has_facts()) pace_.OnFacts(opened.presence.facts().ByteSizeLong());
  // The certificate comes with the first presence of a connection: what was sent before it may have
  // been lost, though the node was never away for long enough to be missed. (It comes hourly too:
  // being asked once more does no harm.)
  const bool connected_anew = !opened.chain.empty() && !opened.presence.leaving();
  const Roster::Heard heard = context_->roster->OnPresence(opened.presence, opened.peer.not_after,
                                                           std::move(opened.chain), now);
  if (!heard.fresh) {
    ++context_->metrics.presences_old;
    return;
  }
  auto ask = asks_.find(node);
  if (!heard.wants_details) {
    if (ask != asks_.end()) asks_.erase(ask);
  } else if (Ask* wanted = Want(node, now); wanted != nullptr) {
    // Another question than the last one, or that one was lost with a connection.
    if (!std::exchange(wanted->facts, true) || connected_anew) {
      wanted->next = now.steady;
      wanted->times = 0;
    }
    wanted->certificates = false;  // its signature was verified just now
  }
  if (heard.back || connected_anew) on_back_(node);
}

void RosterKeeper::OnUnknownKey(const std::string& node, base::Now now) {
  if (Ask* wanted = Want(node, now); wanted != nullptr) wanted->certificates = true;
}

RosterKeeper::Ask* RosterKeeper::Want(const std::string& node, base::Now now) {
  auto it = asks_.find(node);
  if (it != asks_.end()) return &it->second;
  if (asks_.size() >= kAsksMax) return nullptr;
  Ask& ask = asks_[node];
  ask.next = now.steady;
  return &ask;
}

void RosterKeeper::AskSome(base::Now now) {
  // By collective and kind of question.
  std::map<std::pair<std::string, bool>, std::vector<std::string>> groups;
  size_t facts = 0, certificates = 0;
  for (auto it = asks_.begin(); it != asks_.end();) {
    auto& [node, ask] = *it;
    if (ask.next > now.steady) {
      ++it;
      continue;
    }
    size_t& count = ask.facts ? facts : certificates;
    if (count >= (ask.facts ? pace_.at_once() : kCertificatesAskedAtOnce)) {
      ++it;
      continue;
    }
    ++count;
    const RosterEntry* entry = context_->roster->Find(node);
    for (const std::string& collective : context_->options.collectives) {
      if (entry != nullptr && !entry->InCollective(collective)) continue;
      groups[{collective, ask.facts}].push_back(node);
      if (entry != nullptr) break;
    }
    ask.next = now.steady + std::min(kAskAgain * (1 << std::min(ask.times, 10)), kAskAgainMax);
    // Somebody who is not in the roster and does not answer may be made up.
    if (++ask.times > 3 && entry == nullptr) {
      asks_.erase(it++);
    } else {
      ++it;
    }
  }
  for (auto& [group, nodes] : groups) {
    std::sort(nodes.begin(), nodes.end());
    for (auto begin = nodes.begin(); begin != nodes.end();) {
      const auto end = begin + std::min<ptrdiff_t>(kNodesInQuery, nodes.end() - begin);
      SendQuery(group.first, {begin, end}, group.second, !group.second);
      begin = end;
    }
  }
}

void RosterKeeper::SendQuery(const std::string& collective, std::vector<std::string> nodes,
                             bool facts, bool certificates) {
  orch::bus::v1::Request request = NewRequest(*context_, collective);
  for (const std::string& node : nodes) request.add_nodes(node);
  request.mutable_presence_query()->set_facts(facts);
  request.mutable_presence_query()->set_certificates(certificates);
  context_->outbox->Sign(
      std::move(request), [weak = weak_from_this(), collective,
                           nodes = std::move(nodes)](absl::StatusOr<SignedRequest> ready) {
        auto self = weak.lock();
        if (self == nullptr || self->stopped_) return;
        if (!ready.ok()) {
          base::LogError("sign a presence query", {{"error", ready.status().ToString()}});
          return;
        }
        const bus::Destinations& to = self->context_->options.destinations;
        Outbox* const outbox = self->context_->outbox;
        if (nodes.empty()) outbox->Send(to.Request(collective), *ready, nullptr);
        for (const std::string& node : nodes) {
          outbox->Send(to.Node(collective, node), *ready, nullptr);
        }
      });
}

void RosterKeeper::StoreSome() {
  if (storing_ || !context_->store->ok()) return;
  StoreWrite write;
  write.nodes = context_->roster->TakeUnstored(kNodesStoredAtOnce);
  if (write.nodes.empty()) return;
  storing_ = true;
  // Only a cache: what could not be written is written when the node speaks again.
  context_->store->PostWrite(std::move(write), Store::OnFailure::kReport,
                             [weak = weak_from_this()](absl::Status) {
                               auto self = weak.lock();
                               if (self != nullptr) self->storing_ = false;
                             });
}

void RosterKeeper::Watch(uint64_t reader_id, target::Target target, WatchCursor after,
                         std::function<void(NodeChanges)> changed) {
  if (watchers_.size() >= kNodeWatchersMax) return;
  watchers_.erase(reader_id);
  const base::Now now = context_->clock->Read();
  TellWatchers(now);  // what the others are told is behind this one's beginning
  const Watcher& watcher =
      watchers_.emplace(reader_id, Watcher{std::move(target), std::move(changed)}).first->second;
  NodeChanges first;
  const bool known =
      after.process == process_ && after.revision <= revision_ && after.revision >= forgotten_to_;
  if (known) {
    std::vector<std::string> names;
    for (const auto& [name, revision] : changed_at_) {
      if (revision > after.revision) names.push_back(name);
    }
    first = ChangesFor(watcher, names, now);
  }
  first.cursor = {process_, revision_};
  first.reset = !known && after.process != 0;
  watcher.changed(std::move(first));
}

template <typename Names>
NodeChanges RosterKeeper::ChangesFor(const Watcher& watcher, const Names& names,
                                     base::Now now) const {
  NodeChanges changes;
  for (const std::string& name : names) {
    const RosterEntry* entry = context_->roster->Find(name);
    const bool matches =
        entry != nullptr && entry->InCollective(watcher.target.collective()) &&
        (watcher.target.empty() ||
         watcher.target.Evaluate(RosterView(*entry, now)).truth != target::Truth::kFalse);
    if (matches) {
      changes.nodes.push_back(entry->ToNode(/*with_facts=*/false));
    } else {
      changes.gone.push_back(name);
    }
  }
  return changes;
}

void RosterKeeper::TellWatchers(base::Now now) {
  const std::vector<std::string> names = context_->roster->TakeChanged();
  if (names.empty()) return;
  ++revision_;
  for (const std::string& name : names) changed_at_[name] = revision_;
  if (changed_at_.size() > 2 * kRosterNodesMax) {
    changed_at_.clear();
    forgotten_to_ = revision_;
  }
  for (const auto& [reader_id, watcher] : watchers_) {
    NodeChanges changes = ChangesFor(watcher, names, now);
    changes.cursor = {process_, revision_};
    watcher.changed(std::move(changes));
  }
}

}  // namespace orch::controller
