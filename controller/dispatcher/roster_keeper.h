// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/strand.h"
#include "base/timer.h"
#include "controller/context/dispatcher_context.h"
#include "controller/mail/inbox.h"
#include "controller/roster/ask_pace.h"
#include "controller/roster/roster.h"
#include "target/target.h"

namespace orch::controller {

// Nodes asked for their certificate or actions alone at once; for facts see AskPace.
inline constexpr size_t kCertificatesAskedAtOnce = 500;
// Nodes named in one query: each of them gets it whole.
inline constexpr size_t kNodesInQuery = 50;
// A node that does not answer is asked again after this time, doubling up to an hour.
inline constexpr absl::Duration kAskAgain = absl::Seconds(30);
// Nodes that are to be asked; more are asked when they speak again.
inline constexpr size_t kAsksMax = 100'000;
// Rows of the roster written at once.
inline constexpr size_t kNodesStoredAtOnce = 500;
// Streams that watch the roster.
inline constexpr size_t kNodeWatchersMax = 10'000;

// Keeps the roster: takes presences in, asks (paced) for what is missing, lets silent nodes become
// stale, writes changes to the store, tells those who watch.
//
// Lives on: the dispatcher's strand. Its owner keeps it until Stop.
class RosterKeeper : public std::enable_shared_from_this<RosterKeeper> {
 public:
  // `on_back`: a node is (again) there, started anew, or has a new connection.
  RosterKeeper(DispatcherContext* context, std::function<void(const std::string&)> on_back);
  void Start();
  void Stop();
  void OnConnected();

  void OnPresence(OpenedPresence opened, base::Now now);
  // Somebody with this name, not verified, signs with a key that is not known here.
  void OnUnknownKey(const std::string& node, base::Now now);

  // See DispatcherApi::WatchNodes.
  void Watch(uint64_t reader_id, target::Target target, WatchCursor after,
             std::function<void(NodeChanges)> changed);
  void ForgetWatch(uint64_t reader_id) { watchers_.erase(reader_id); }

 private:
  struct Ask {
    bool facts = false;
    bool certificates = false;
    int times = 0;
    absl::Duration next;  // steady
  };
  struct Watcher {
    target::Target target;
    std::function<void(NodeChanges)> changed;
  };
  void Tick();
  void AskEverybody(base::Now now);
  void AskSome(base::Now now);
  void SendQuery(const std::string& collective, std::vector<std::string> nodes, bool facts,
                 bool certificates);
  void StoreSome();
  void TellWatchers(base::Now now);
  template <typename Names>
  NodeChanges ChangesFor(const Watcher& watcher, const Names& names, base::Now now) const;
  Ask* Want(const std::string& node, base::Now now);

  DispatcherContext* const context_;
  const std::function<void(const std::string&)> on_back_;
  base::Timer timer_;
  std::map<std::string, Ask> asks_;
  AskPace pace_;
  std::map<uint64_t, Watcher> watchers_;
  const uint64_t process_;                         // of cursors; never 0
  uint64_t revision_ = 0;                          // grows with each change that is told
  uint64_t forgotten_to_ = 0;                      // of revisions up to here not all is known
  std::map<std::string, uint64_t> changed_at_;     // node → revision; gone nodes, too
  absl::Duration sweep_at_;                        // steady
  std::optional<absl::Duration> everybody_asked_;  // steady
  bool ask_everybody_ = false;                     // connected anew, and not asked since
  bool storing_ = false;
  bool stopped_ = false;
};

}  // namespace orch::controller
