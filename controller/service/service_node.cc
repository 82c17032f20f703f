// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "api/json.h"
#include "api/names.h"
#include "base/status.h"
#include "controller/gate/node_walk.h"
#include "controller/gate/validate.h"
#include "controller/service/out_stream.h"
#include "controller/service/pages.h"
#include "controller/service/read_mask.h"
#include "controller/service/service_core.h"
#include "orch/v1/node_service.grpc.pb.h"
#include "target/compare.h"

namespace orch::controller {

using namespace orch::v1;  // NOLINT: every message of the service is named here

namespace {

// Facts that a listing may ask for, and the bytes of a path.
constexpr int kFactsOfNodesMax = 32;
constexpr size_t kFactPathMax = 256;

// The facts that were asked for and that the node has, each under its path.
void AddFacts(const ListNodesRequest& request, const target::NodeData& view, Node* node) {
  for (const std::string& path : request.facts()) {
    const nlohmann::json* facts = view.facts();
    const nlohmann::json* value = facts == nullptr ? nullptr : target::FindFact(*facts, path);
    if (value == nullptr) continue;
    (*node->mutable_facts()->mutable_fields())[path] = api::ToValue(*value);
  }
}

class NodeServer : public NodeService::CallbackService {
 public:
  explicit NodeServer(std::shared_ptr<ServiceCore> core) : core_(std::move(core)) {}

  grpc::ServerUnaryReactor* ListNodes(grpc::CallbackServerContext* context,
                                      const ListNodesRequest* request,
                                      ListNodesResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ListNodesResponse> reply) {
          List(core, std::move(who), request, reply);
        });
  }
  grpc::ServerUnaryReactor* GetNode(grpc::CallbackServerContext* context,
                                    const GetNodeRequest* request,
                                    GetNodeResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, name = request->name()](CallerEvidence who, Reply<GetNodeResponse> reply) {
          Get(*core, std::move(who), name, reply);
        });
  }
  grpc::ServerWriteReactor<DiscoverNodesResponse>* DiscoverNodes(
      grpc::CallbackServerContext* context, const DiscoverNodesRequest* request) override {
    return StartDiscoverNodes(core_, EvidenceOf(*core_, *context), *request,
                              TraceparentOf(*context));
  }
  grpc::ServerWriteReactor<WatchNodesResponse>* WatchNodes(
      grpc::CallbackServerContext* context, const WatchNodesRequest* request) override {
    return StartWatchNodes(core_, EvidenceOf(*core_, *context), *request);
  }

 private:
  // The page token is the last name of the page before.
  static void List(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                   const ListNodesRequest& request, Reply<ListNodesResponse> reply) {
    const absl::StatusOr<int> size = PageSize(request.page_size(), kNodesInPage, kPageMax);
    if (!size.ok()) return reply(size.status());
    if (!request.page_token().empty()) {
      const absl::StatusOr<std::string> after =
          api::ParseNodeName("page_token", request.page_token());
      if (!after.ok()) return reply(after.status());
    }
    if (const absl::Status valid = Validate(request); !valid.ok()) return reply(valid);
    core->parts.gate->PostListing(
        std::move(who), request.target(),
        [core, request, size = *size, reply](absl::StatusOr<Listing> listing) {
          if (!listing.ok()) return reply(listing.status());
          Walk(*core, *std::move(listing), request, size, reply);
        });
  }

  static absl::Status Validate(const ListNodesRequest& request) {
    ORCH_RETURN_IF_ERROR(ValidateReadMask<Node>(request.read_mask()));
    if (request.facts_size() > kFactsOfNodesMax) {
      return api::BadField("facts", absl::StrCat("more than ", kFactsOfNodesMax));
    }
    for (int i = 0; i < request.facts_size(); ++i) {
      if (!request.facts(i).empty() && request.facts(i).size() <= kFactPathMax) continue;
      return api::BadField(absl::StrCat("facts[", i, "]"),
                           absl::StrCat("is empty, or longer than ", kFactPathMax, " bytes"));
    }
    return absl::OkStatus();
  }

  static bool InOneOf(const google::protobuf::RepeatedField<int>& states, int state) {
    return states.empty() || std::find(states.begin(), states.end(), state) != states.end();
  }

  static void Walk(ServiceCore& core, Listing listing, const ListNodesRequest& request, int size,
                   Reply<ListNodesResponse> reply) {
    auto page = std::make_shared<ListNodesResponse>();
    NodeWalk walk;
    walk.target = std::move(listing.target);
    walk.sees = std::move(listing.decision);
    walk.with_facts = request.facts_size() > 0;
    if (!request.page_token().empty()) {
      walk.after = std::string(api::IdentityOf(request.page_token()));
    }
    walk.visit = [page, size, request, bytes = size_t{0}, last = std::string()](
                     const Node& node, const target::NodeData* view) mutable {
      if (!InOneOf(request.states(), node.state())) return true;
      Node shown = node;
      shown.clear_facts();
      shown.clear_classes();
      if (view != nullptr) AddFacts(request, *view, &shown);
      TrimTo(request.read_mask(), &shown);
      bytes += shown.ByteSizeLong();
      if (page->nodes_size() == size || (bytes > kPageBytesMax && page->nodes_size() > 0)) {
        page->set_next_page_token(last);
        return false;
      }
      last = node.name();
      page->mutable_nodes()->Add(std::move(shown));
      return true;
    };
    walk.done = [page, reply](const absl::Status& status) {
      if (!status.ok()) return reply(status);
      reply(std::move(*page));
    };
    PostNodeWalk(core.parts.dispatcher, base::Strand(core.parts.io->get_executor()),
                 std::move(walk));
  }

  static void Get(ServiceCore& core, CallerEvidence who, const std::string& name,
                  Reply<GetNodeResponse> reply) {
    const absl::StatusOr<std::string> identity = api::ParseNodeName("name", name);
    if (!identity.ok()) return reply(identity.status());
    core.parts.gate->PostGetNode(std::move(who), *identity, [reply](absl::StatusOr<Node> node) {
      if (!node.ok()) return reply(node.status());
      GetNodeResponse response;
      *response.mutable_node() = *std::move(node);
      reply(std::move(response));
    });
  }

  const std::shared_ptr<ServiceCore> core_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewNodeService(std::shared_ptr<ServiceCore> core) {
  return std::make_unique<NodeServer>(std::move(core));
}

}  // namespace orch::controller
