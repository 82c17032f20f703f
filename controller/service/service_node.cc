// SPDX-License-Identifier: Apache-2.0
#include "api/names.h"
#include "controller/gate/node_walk.h"
#include "controller/gate/validate.h"
#include "controller/service/out_stream.h"
#include "controller/service/pages.h"
#include "controller/service/service_core.h"
#include "orch/v1/node_service.grpc.pb.h"

namespace orch::controller {

using namespace orch::v1;  // NOLINT: every message of the service is named here

namespace {

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
    core->parts.gate->PostListing(
        std::move(who), request.target(),
        [core, token = request.page_token(), size = *size, reply](absl::StatusOr<Listing> listing) {
          if (!listing.ok()) return reply(listing.status());
          Walk(*core, *std::move(listing), token, size, reply);
        });
  }

  static void Walk(ServiceCore& core, Listing listing, const std::string& token, int size,
                   Reply<ListNodesResponse> reply) {
    auto page = std::make_shared<ListNodesResponse>();
    NodeWalk walk;
    walk.target = std::move(listing.target);
    walk.sees = std::move(listing.decision);
    if (!token.empty()) walk.after = std::string(api::IdentityOf(token));
    walk.visit = [page, size, bytes = size_t{0}](const Node& node,
                                                 const target::NodeData*) mutable {
      Node shown = node;
      shown.clear_facts();
      shown.clear_classes();
      bytes += shown.ByteSizeLong();
      if (page->nodes_size() == size || (bytes > kPageBytesMax && page->nodes_size() > 0)) {
        page->set_next_page_token(page->nodes().rbegin()->name());
        return false;
      }
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
