// SPDX-License-Identifier: Apache-2.0
#include "controller/gate/node_walk.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "api/json.h"

namespace orch::controller {

namespace asio = boost::asio;
using orch::v1::Node;

namespace {

class Walker : public std::enable_shared_from_this<Walker> {
 public:
  Walker(DispatcherPort dispatcher, base::Strand strand, NodeWalk walk)
      : dispatcher_(std::move(dispatcher)), strand_(std::move(strand)), walk_(std::move(walk)) {
    facts_needed_ = walk_.with_facts || !walk_.sees.conditions.empty();
  }

  void Start() {
    if (walk_.sees.denied_outright()) return walk_.done(absl::OkStatus());
    dispatcher_.Post([self = shared_from_this()](DispatcherApi& there) {
      there.ListNodes(self->walk_.target, /*with_facts=*/false,
                      [self](absl::StatusOr<std::vector<Node>> nodes) {
                        asio::post(self->strand_, [self, nodes = std::move(nodes)]() mutable {
                          if (!nodes.ok()) return self->walk_.done(nodes.status());
                          self->OnNames(*std::move(nodes));
                        });
                      });
    });
  }

 private:
  void OnNames(std::vector<Node> nodes) {
    nodes_ = std::move(nodes);
    std::sort(nodes_.begin(), nodes_.end(),
              [](const Node& a, const Node& b) { return a.identity() < b.identity(); });
    next_ = std::upper_bound(
                nodes_.begin(), nodes_.end(), walk_.after,
                [](const std::string& name, const Node& node) { return name < node.identity(); }) -
            nodes_.begin();
    if (facts_needed_) return FetchFacts();
    for (; next_ < nodes_.size(); ++next_) {
      if (!walk_.visit(nodes_[next_], nullptr)) break;
    }
    walk_.done(absl::OkStatus());
  }

  void FetchFacts() {
    if (next_ == nodes_.size()) return walk_.done(absl::OkStatus());
    const size_t count = std::min<size_t>(kNodesAtOnce, nodes_.size() - next_);
    part_.assign(count, Node());
    missing_ = count;
    for (size_t i = 0; i < count; ++i) {
      auto take = [self = shared_from_this(), i](absl::StatusOr<Node> node) {
        asio::post(self->strand_, [self, i, node = std::move(node)]() mutable {
          if (node.ok()) self->part_[i] = *std::move(node);
          if (--self->missing_ == 0) self->VisitPart();
        });
      };
      dispatcher_.Post([name = nodes_[next_++].identity(), take](DispatcherApi& there) {
        there.GetNode(name, take);
      });
    }
  }

  void VisitPart() {
    for (const Node& node : part_) {
      if (node.identity().empty()) continue;  // it was forgotten meanwhile
      const target::NodeData view = ViewOf(node);
      if (!MaySee(walk_.sees, view)) continue;
      if (!walk_.visit(node, &view)) return walk_.done(absl::OkStatus());
    }
    FetchFacts();
  }

  const DispatcherPort dispatcher_;
  const base::Strand strand_;
  const NodeWalk walk_;
  bool facts_needed_ = false;
  std::vector<Node> nodes_;
  size_t next_ = 0;
  std::vector<Node> part_;  // with facts
  size_t missing_ = 0;      // of part_
};

}  // namespace

target::NodeData ViewOf(const Node& node) {
  target::NodeData view;
  view.identity_value = node.identity();
  view.facts_known = node.has_facts_time();
  view.facts_value = api::FromStruct(node.facts());
  view.classes_value.assign(node.classes().begin(), node.classes().end());
  std::sort(view.classes_value.begin(), view.classes_value.end());
  for (const orch::v1::NodeAction& action : node.actions()) {
    view.actions_value.push_back(action.name());
  }
  std::sort(view.actions_value.begin(), view.actions_value.end());
  view.collectives_value.assign(node.collectives().begin(), node.collectives().end());
  std::sort(view.collectives_value.begin(), view.collectives_value.end());
  return view;
}

bool MaySee(const policy::Decision& decision, const target::NodeData& node) {
  if (decision.conditions.empty()) return decision.otherwise == policy::Effect::kAllow;
  const policy::NodeDecision on_node =
      policy::DecideOnNode(decision.conditions, decision.otherwise, node);
  return on_node.effect == policy::Effect::kAllow && !on_node.unknown;
}

void PostNodeWalk(DispatcherPort dispatcher, base::Strand strand, NodeWalk walk) {
  auto walker = std::make_shared<Walker>(std::move(dispatcher), strand, std::move(walk));
  asio::post(strand, [walker] { walker->Start(); });
}

}  // namespace orch::controller
