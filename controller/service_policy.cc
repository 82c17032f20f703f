// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "controller/node_walk.h"
#include "controller/service_core.h"
#include "controller/validate.h"
#include "orch/v1/audit_service.grpc.pb.h"
#include "orch/v1/policy_service.grpc.pb.h"
#include "target/target.h"

namespace orch::controller {

using namespace orch::v1;  // NOLINT: every message of the services is named here

namespace {

constexpr int kRecordsInPage = 50, kPageMax = 1000;

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

  grpc::ServerUnaryReactor* WhoAmI(grpc::CallbackServerContext* context, const WhoAmIRequest*,
                                   WhoAmIResponse* response) override {
    return PostCall(core_, context, response,
                    [core = core_](CallerEvidence who, Reply<WhoAmIResponse> reply) {
                      core->parts.gate->PostWhoAmI(std::move(who), reply);
                    });
  }
  grpc::ServerUnaryReactor* ExplainPolicy(grpc::CallbackServerContext* context,
                                          const ExplainPolicyRequest* request,
                                          ExplainPolicyResponse* response) override {
    return PostCall(
        core_, context, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ExplainPolicyResponse> reply) {
          core->parts.gate->PostExplain(std::move(who), request,
                                        [core, reply](absl::StatusOr<Explained> explained) {
                                          if (!explained.ok()) return reply(explained.status());
                                          Count(*core, *std::move(explained), reply);
                                        });
        });
  }
  grpc::ServerUnaryReactor* ExplainTarget(grpc::CallbackServerContext* context,
                                          const ExplainTargetRequest* request,
                                          ExplainTargetResponse* response) override {
    return PostCall(
        core_, context, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ExplainTargetResponse> reply) {
          Explain(core, std::move(who), request, reply);
        });
  }

 private:
  // How many nodes the answer comes to; none for a caller that may not list them.
  static void Count(ServiceCore& core, Explained explained, Reply<ExplainPolicyResponse> reply) {
    auto out = std::make_shared<ExplainPolicyResponse>(Answer(explained));
    NodeWalk walk;
    walk.target = std::move(explained.target);
    walk.sees = std::move(explained.sees_nodes);
    walk.with_facts = !explained.decision.conditions.empty();
    walk.visit = [out, decision = std::move(explained.decision)](const Node& node,
                                                                 const target::NodeData* view) {
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

  static void Explain(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                      const ExplainTargetRequest& request, Reply<ExplainTargetResponse> reply) {
    std::string node = request.node();
    if (!node.empty() && !base::IsIdentity(node)) {
      const absl::StatusOr<std::string> identity = ParseNodeName("node", node);
      if (!identity.ok()) return reply(identity.status());
      node = *identity;
    }
    core->parts.gate->PostListing(
        std::move(who), request.target(), [core, node, reply](absl::StatusOr<Listing> listing) {
          if (!listing.ok()) return reply(listing.status());
          absl::StatusOr<target::Target> target = target::Target::Compile(listing->target);
          if (!target.ok()) return reply(target.status());
          Walk(*core, *std::move(listing),
               std::make_shared<const target::Target>(*std::move(target)), node, reply);
        });
  }

  static void Walk(ServiceCore& core, Listing listing, std::shared_ptr<const target::Target> target,
                   const std::string& node_asked, Reply<ExplainTargetResponse> reply) {
    auto out = std::make_shared<ExplainTargetResponse>();
    for (size_t i = 0; i < target->clause_count(); ++i) {
      out->add_clauses()->set_words(target->ClauseWords(i));
    }
    NodeWalk walk;
    walk.target.set_collective(listing.target.collective());
    walk.sees = std::move(listing.decision);
    walk.with_facts = true;
    walk.visit = [out, target, node_asked](const Node& node, const target::NodeData* view) {
      out->set_nodes(out->nodes() + 1);
      bool left = true;
      for (size_t i = 0; i < target->clause_count(); ++i) {
        TargetClause& clause = *out->mutable_clauses(static_cast<int>(i));
        const target::Match match = target->EvaluateClause(i, *view);
        const bool holds = match.truth == target::Truth::kTrue;
        left = left && holds;
        if (left) clause.set_nodes_left(clause.nodes_left() + 1);
        if (node.identity() != node_asked) continue;
        clause.set_node_matches(holds);
        clause.set_why(match.why);
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

  const std::shared_ptr<ServiceCore> core_;
};

class AuditServer : public AuditService::CallbackService {
 public:
  explicit AuditServer(std::shared_ptr<ServiceCore> core) : core_(std::move(core)) {}

  grpc::ServerUnaryReactor* ListAudit(grpc::CallbackServerContext* context,
                                      const ListAuditRequest* request,
                                      ListAuditResponse* response) override {
    return PostCall(
        core_, context, response,
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
    if (!request.job().empty()) {
      const absl::StatusOr<std::string> id = ParseJobName("job", request.job());
      if (!id.ok()) return reply(id.status());
    }
    core->parts.gate->PostPermit(
        std::move(who), "audit.list",
        [core, request, before, size = *size, reply](absl::StatusOr<Caller> caller) {
          if (!caller.ok()) return reply(caller.status());
          core->parts.audit->PostList(before, size, request.caller(), request.job(),
                                      [size, reply](auto records) {
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
