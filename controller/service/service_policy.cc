// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <set>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/names.h"
#include "base/ids.h"
#include "controller/audit/audit_filter.h"
#include "controller/gate/node_walk.h"
#include "controller/gate/validate.h"
#include "controller/service/pages.h"
#include "controller/service/service_core.h"
#include "orch/v1/audit_service.grpc.pb.h"
#include "orch/v1/policy_service.grpc.pb.h"
#include "target/target.h"

namespace orch::controller {

using namespace orch::v1;  // NOLINT: every message of the services is named here

namespace {

constexpr int kRecordsInPage = 50;

std::string SummaryOf(const policy::Query& query, const policy::Decision& decision) {
  if (!decision.conditions.empty()) {
    return absl::StrCat(query.caller, " may do ", query.action, " on some nodes: it depends on ",
                        decision.conditions.front().where, " (", decision.conditions.front().rule,
                        ")");
  }
  if (decision.otherwise == policy::Effect::kDeny && !decision.reason.empty()) {
    return absl::StrCat(decision.reason, " (", decision.rule, ")");
  }
  return absl::StrCat(query.caller,
                      decision.otherwise == policy::Effect::kAllow ? " may do " : " may not do ",
                      query.action, " (", decision.rule, ")");
}

ExplainPolicyResponse Answer(const Explained& explained) {
  const policy::Decision& decision = explained.decision;
  ExplainPolicyResponse out;
  out.set_effect(!decision.conditions.empty()                   ? POLICY_EFFECT_CONDITIONAL
                 : decision.otherwise == policy::Effect::kAllow ? POLICY_EFFECT_ALLOW
                                                                : POLICY_EFFECT_DENY);
  for (const policy::Step& step : decision.steps) {
    PolicyStep& shown = *out.add_steps();
    shown.set_file(step.file);
    shown.set_line(step.line);
    shown.set_rule(step.rule);
    shown.set_why(step.why);
    shown.set_decides(step.decides);
  }
  out.set_summary(SummaryOf(explained.query, decision));
  return out;
}

class PolicyServer : public PolicyService::CallbackService {
 public:
  explicit PolicyServer(std::shared_ptr<ServiceCore> core) : core_(std::move(core)) {}

  grpc::ServerUnaryReactor* WhoAmI(grpc::CallbackServerContext* context,
                                   const WhoAmIRequest* request,
                                   WhoAmIResponse* response) override {
    return PostCall(core_, context, *request, response,
                    [core = core_](CallerEvidence who, Reply<WhoAmIResponse> reply) {
                      core->parts.gate->PostWhoAmI(std::move(who), reply);
                    });
  }
  grpc::ServerUnaryReactor* ExplainPolicy(grpc::CallbackServerContext* context,
                                          const ExplainPolicyRequest* request,
                                          ExplainPolicyResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ExplainPolicyResponse> reply) {
          const absl::StatusOr<Named> named = NamesIn(request);
          if (!named.ok()) return reply(named.status());
          core->parts.gate->PostExplain(
              std::move(who), request,
              [core, named = *named, reply](absl::StatusOr<Explained> explained) {
                if (!explained.ok()) return reply(explained.status());
                Count(*core, *std::move(explained), named, reply);
              });
        });
  }
  grpc::ServerUnaryReactor* ExplainTarget(grpc::CallbackServerContext* context,
                                          const ExplainTargetRequest* request,
                                          ExplainTargetResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ExplainTargetResponse> reply) {
          Explain(core, std::move(who), request, reply);
        });
  }

 private:
  using Named = std::optional<std::set<std::string>>;  // only these

  // The request's `nodes`.
  template <typename Request>
  static absl::StatusOr<Named> NamesIn(const Request& request) {
    Named named;
    for (const std::string& name : request.nodes()) {
      if (!base::IsIdentity(name)) {
        return api::BadField("nodes", "one of them is not a node's identity");
      }
      if (!named.has_value()) named.emplace();
      named->insert(name);
    }
    return named;
  }

  // How many nodes the answer comes to; none for a caller that may not list them.
  static void Count(ServiceCore& core, Explained explained, const Named& named,
                    Reply<ExplainPolicyResponse> reply) {
    auto out = std::make_shared<ExplainPolicyResponse>(Answer(explained));
    NodeWalk walk;
    walk.target = std::move(explained.target);
    walk.sees = std::move(explained.sees_nodes);
    walk.with_facts = !explained.decision.conditions.empty();
    walk.visit = [out, named, decision = std::move(explained.decision)](
                     const Node& node, const target::NodeData* view) {
      if (named.has_value() && named->count(node.identity()) == 0) return true;
      const bool allowed = MaySee(decision, view != nullptr ? *view : ViewOf(node));
      if (allowed) {
        out->set_allowed_nodes(out->allowed_nodes() + 1);
      } else {
        out->set_denied_nodes(out->denied_nodes() + 1);
      }
      return true;
    };
    walk.done = [out, reply](const absl::Status& status) {
      if (!status.ok()) return reply(status);
      reply(std::move(*out));
    };
    PostNodeWalk(core.parts.dispatcher, base::Strand(core.parts.io->get_executor()),
                 std::move(walk));
  }

  struct TargetQuestion {
    CallerEvidence who;
    std::string node;  // empty: none
    Named named;
  };

  static void Explain(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                      const ExplainTargetRequest& request, Reply<ExplainTargetResponse> reply) {
    TargetQuestion question{std::move(who), request.node(), std::nullopt};
    if (!question.node.empty() && !base::IsIdentity(question.node)) {
      const absl::StatusOr<std::string> identity = api::ParseNodeName("node", question.node);
      if (!identity.ok()) return reply(identity.status());
      question.node = *identity;
    }
    if (!request.pql().empty()) {
      return reply(api::BadField("pql", "is answered by discovery; name the nodes it found"));
    }
    absl::StatusOr<Named> named = NamesIn(request);
    if (!named.ok()) return reply(named.status());
    question.named = *std::move(named);
    core->parts.gate->PostListing(
        question.who, request.target(), [core, question, reply](absl::StatusOr<Listing> listing) {
          if (!listing.ok()) return reply(listing.status());
          if (question.node.empty()) return AskRoster(core, question, *std::move(listing), reply);
          // As GetNode: what may not be seen is not there.
          core->parts.gate->PostGetNode(
              question.who, question.node,
              [core, question, listing = *std::move(listing), reply](absl::StatusOr<Node> node) {
                if (!node.ok()) return reply(node.status());
                AskRoster(core, question, listing, reply);
              });
        });
  }

  static void AskRoster(const std::shared_ptr<ServiceCore>& core, const TargetQuestion& question,
                        const Listing& listing, Reply<ExplainTargetResponse> reply) {
    auto on_explained = [core, question, listing,
                         reply](absl::StatusOr<ExplainedTarget> explained) {
      if (!explained.ok()) return reply(explained.status());
      CountVisible(*core, question, listing, *std::move(explained), reply);
    };
    core->parts.dispatcher.Post(
        [target = listing.target, node = question.node, on_explained](DispatcherApi& there) {
          there.ExplainTarget(target, node, on_explained);
        });
  }

  // Which nodes may be seen is asked node by node, with their facts, only if it depends on them.
  static void CountVisible(ServiceCore& core, const TargetQuestion& question,
                           const Listing& listing, ExplainedTarget explained,
                           Reply<ExplainTargetResponse> reply) {
    auto target =
        std::make_shared<absl::StatusOr<target::Target>>(target::Target::Compile(listing.target));
    if (!target->ok()) return reply(target->status());
    if (question.named.has_value()) {
      if (explained.asked.has_value()) {
        explained.asked->named = question.named->count(explained.asked->identity) > 0;
      }
      std::vector<ClausesOnNode>& nodes = explained.nodes;
      nodes.erase(std::remove_if(nodes.begin(), nodes.end(),
                                 [&question](const ClausesOnNode& node) {
                                   return question.named->count(node.identity) == 0;
                                 }),
                  nodes.end());
    }
    if (listing.decision.conditions.empty()) return reply(ToResponse(**target, explained, nullptr));
    auto visible = std::make_shared<std::set<std::string>>();
    NodeWalk walk;
    walk.target.set_collective(listing.target.collective());
    walk.sees = listing.decision;
    walk.visit = [visible](const Node& node, const target::NodeData*) {
      visible->insert(node.identity());
      return true;
    };
    walk.done = [visible, target, explained = std::move(explained),
                 reply](const absl::Status& status) {
      if (!status.ok()) return reply(status);
      reply(ToResponse(**target, explained, visible.get()));
    };
    PostNodeWalk(core.parts.dispatcher, base::Strand(core.parts.io->get_executor()),
                 std::move(walk));
  }

  const std::shared_ptr<ServiceCore> core_;
};

class AuditServer : public AuditService::CallbackService {
 public:
  explicit AuditServer(std::shared_ptr<ServiceCore> core) : core_(std::move(core)) {}

  grpc::ServerUnaryReactor* ListAudit(grpc::CallbackServerContext* context,
                                      const ListAuditRequest* request,
                                      ListAuditResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ListAuditResponse> reply) {
          List(core, std::move(who), request, reply);
        });
  }

 private:
  // The page token is the sequence number of the page's last record.
  static void List(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                   const ListAuditRequest& request, Reply<ListAuditResponse> reply) {
    const absl::StatusOr<int> size = PageSize(request.page_size(), kRecordsInPage, kPageMax);
    if (!size.ok()) return reply(size.status());
    uint64_t before = 0;
    if (!request.page_token().empty() &&
        (!absl::SimpleAtoi(request.page_token(), &before) || before == 0)) {
      return reply(api::BadField("page_token", "is not one of ours"));
    }
    if (const absl::Status valid = ValidateAuditFilter(request); !valid.ok()) return reply(valid);
    core->parts.gate->PostPermit(
        std::move(who), "audit.list",
        [core, request, before, size = *size, reply](absl::StatusOr<Caller> caller) {
          if (!caller.ok()) return reply(caller.status());
          core->parts.audit->PostList(before, size, request, [size, reply](auto records) {
            if (!records.ok()) return reply(records.status());
            reply(PageOf(*std::move(records), size));
          });
        });
  }

  static ListAuditResponse PageOf(std::vector<AuditRecord> records, int size) {
    ListAuditResponse page;
    for (AuditRecord& record : records) page.mutable_records()->Add(std::move(record));
    if (page.records_size() == size && page.records().rbegin()->sequence() > 1) {
      page.set_next_page_token(absl::StrCat(page.records().rbegin()->sequence()));
    }
    return page;
  }

  const std::shared_ptr<ServiceCore> core_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewPolicyService(std::shared_ptr<ServiceCore> core) {
  return std::make_unique<PolicyServer>(std::move(core));
}

std::unique_ptr<grpc::Service> NewAuditService(std::shared_ptr<ServiceCore> core) {
  return std::make_unique<AuditServer>(std::move(core));
}

}  // namespace orch::controller
