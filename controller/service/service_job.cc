// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/proto_time.h"
#include "controller/gate/validate.h"
#include "controller/service/out_stream.h"
#include "controller/service/pages.h"
#include "controller/service/service_core.h"
#include "orch/v1/job_service.grpc.pb.h"

namespace orch::controller {

using namespace orch::v1;  // NOLINT: every message of the service is named here

namespace {

constexpr int kJobsInPage = 50;

// Most often done: answers with a job in a response.
template <typename Response>
std::function<void(absl::StatusOr<Job>)> WithJob(Reply<Response> reply) {
  return [reply](absl::StatusOr<Job> job) {
    if (!job.ok()) return reply(job.status());
    Response response;
    *response.mutable_job() = *std::move(job);
    reply(std::move(response));
  };
}

class JobServer : public JobService::CallbackService {
 public:
  explicit JobServer(std::shared_ptr<ServiceCore> core) : core_(std::move(core)) {}

  grpc::ServerWriteReactor<RunJobResponse>* RunJob(grpc::CallbackServerContext* context,
                                                   const RunJobRequest* request) override {
    return StartRunJob(core_, EvidenceOf(*core_, *context), *request, TraceparentOf(*context));
  }
  grpc::ServerWriteReactor<WatchJobResponse>* WatchJob(grpc::CallbackServerContext* context,
                                                       const WatchJobRequest* request) override {
    return StartWatchJob(core_, EvidenceOf(*core_, *context), *request);
  }
  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const CreateJobRequest* request,
                                      CreateJobResponse* response) override {
    return PostCall(core_, context, *request, response,
                    [core = core_, request = *request, trace = TraceparentOf(*context)](
                        CallerEvidence who, Reply<CreateJobResponse> reply) mutable {
                      Create(*core, std::move(who), std::move(request), std::move(trace), reply);
                    });
  }
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const GetJobRequest* request,
                                   GetJobResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, name = request->name()](CallerEvidence who, Reply<GetJobResponse> reply) {
          Get(core, std::move(who), name, reply);
        });
  }
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const ListJobsRequest* request,
                                     ListJobsResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ListJobsResponse> reply) {
          List(core, std::move(who), request, reply);
        });
  }
  grpc::ServerUnaryReactor* ListJobNodes(grpc::CallbackServerContext* context,
                                         const ListJobNodesRequest* request,
                                         ListJobNodesResponse* response) override {
    return PostCall(
        core_, context, *request, response,
        [core = core_, request = *request](CallerEvidence who, Reply<ListJobNodesResponse> reply) {
          ListNodes(core, std::move(who), request, reply);
        });
  }
  grpc::ServerUnaryReactor* GetJobNode(grpc::CallbackServerContext* context,
                                       const GetJobNodeRequest* request,
                                       GetJobNodeResponse* response) override {
    return PostCall(core_, context, *request, response,
                    [core = core_, name = request->name()](CallerEvidence who,
                                                           Reply<GetJobNodeResponse> reply) {
                      GetNode(core, std::move(who), name, reply);
                    });
  }
  grpc::ServerUnaryReactor* ListCatalog(grpc::CallbackServerContext* context,
                                        const ListCatalogRequest* request,
                                        ListCatalogResponse* response) override {
    return PostCall(core_, context, *request, response,
                    [](CallerEvidence, Reply<ListCatalogResponse> reply) { reply(Catalog()); });
  }
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const CancelJobRequest* request,
                                      CancelJobResponse* response) override {
    return Change(context, request, response, JobChange::kCancel, request->reason());
  }
  grpc::ServerUnaryReactor* PauseJob(grpc::CallbackServerContext* context,
                                     const PauseJobRequest* request,
                                     PauseJobResponse* response) override {
    return Change(context, request, response, JobChange::kPause, request->reason());
  }
  grpc::ServerUnaryReactor* ResumeJob(grpc::CallbackServerContext* context,
                                      const ResumeJobRequest* request,
                                      ResumeJobResponse* response) override {
    return Change(context, request, response, JobChange::kResume, request->reason());
  }

 private:
  static void Create(ServiceCore& core, CallerEvidence who, CreateJobRequest request,
                     std::string traceparent, Reply<CreateJobResponse> reply) {
    JobRequest job;
    job.spec = std::move(*request.mutable_spec());
    job.idempotency_key = std::move(*request.mutable_idempotency_key());
    job.validate_only = request.validate_only();
    job.traceparent = std::move(traceparent);
    core.parts.gate->PostCreateJob(
        std::move(who), std::move(job), [reply](absl::StatusOr<CreatedJob> created) {
          if (!created.ok()) return reply(created.status());
          CreateJobResponse response;
          *response.mutable_job() = std::move(created->job);
          for (std::string& node : created->nodes) {
            response.add_nodes(std::move(node));
          }
          response.mutable_others()->Assign(created->others.begin(), created->others.end());
          reply(std::move(response));
        });
  }

  static void Get(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                  const std::string& name, Reply<GetJobResponse> reply) {
    const absl::StatusOr<std::string> id = api::ParseJobName("name", name);
    if (!id.ok()) return reply(id.status());
    core->parts.gate->PostVisibility(std::move(who), [core, id = *id,
                                                      reply](absl::StatusOr<JobVisibility> sees) {
      if (!sees.ok()) return reply(sees.status());
      core->parts.dispatcher.Post([id, viewer = *std::move(sees), done = WithJob(reply)](
                                      DispatcherApi& there) { there.GetJob(id, viewer, done); });
    });
  }

  static void List(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                   const ListJobsRequest& request, Reply<ListJobsResponse> reply) {
    const absl::StatusOr<int> size = PageSize(request.page_size(), kJobsInPage, kPageMax);
    if (!size.ok()) return reply(size.status());
    core->parts.gate->PostVisibility(
        std::move(who), [core, request, size = *size, reply](absl::StatusOr<JobVisibility> sees) {
          if (!sees.ok()) return reply(sees.status());
          std::vector<JobState> states;
          for (const int state : request.states()) states.push_back(static_cast<JobState>(state));
          auto fetch = [core, request, states, sees = *sees](int size, const std::string& token,
                                                             auto done) {
            auto on_page = [done](absl::StatusOr<JobPage> page) {
              if (!page.ok()) return done(page.status());
              ListJobsResponse part;
              for (Job& job : page->jobs) part.mutable_jobs()->Add(std::move(job));
              part.set_next_page_token(std::move(page->next_page_token));
              done(std::move(part));
            };
            core->parts.dispatcher.Post([sees, size, token, states, caller = request.caller(),
                                         on_page](DispatcherApi& there) {
              there.ListJobs(sees, size, token, states, caller, on_page);
            });
          };
          GatherPage<ListJobsResponse>(fetch, &ListJobsResponse::jobs_size, size,
                                       request.page_token(), reply);
        });
  }

  static void ListNodes(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                        const ListJobNodesRequest& request, Reply<ListJobNodesResponse> reply) {
    const absl::StatusOr<int> size = PageSize(request.page_size(), kNodesInPage, kPageMax);
    if (!size.ok()) return reply(size.status());
    const absl::StatusOr<std::string> id = api::ParseJobName("parent", request.parent());
    if (!id.ok()) return reply(id.status());
    core->parts.gate->PostVisibility(std::move(who), [core, request, size = *size, id = *id,
                                                      reply](absl::StatusOr<JobVisibility> sees) {
      if (!sees.ok()) return reply(sees.status());
      std::vector<NodeState> states;
      for (const int state : request.states()) states.push_back(static_cast<NodeState>(state));
      auto fetch = [core, id, states, sees = *sees](int size, const std::string& token, auto done) {
        JobNodesQuery query{.job_id = id, .page_size = size, .page_token = token, .states = states};
        auto on_page = [done](absl::StatusOr<JobNodePage> page) {
          if (!page.ok()) return done(page.status());
          ListJobNodesResponse part;
          for (JobNode& node : page->nodes) part.mutable_nodes()->Add(std::move(node));
          part.set_next_page_token(std::move(page->next_page_token));
          done(std::move(part));
        };
        core->parts.dispatcher.Post([query, sees, on_page](DispatcherApi& there) {
          there.ListJobNodes(query, sees, on_page);
        });
      };
      GatherPage<ListJobNodesResponse>(fetch, &ListJobNodesResponse::nodes_size, size,
                                       request.page_token(), reply);
    });
  }

  static void GetNode(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                      const std::string& name, Reply<GetJobNodeResponse> reply) {
    const absl::StatusOr<api::JobNodeId> id = api::ParseJobNodeName("name", name);
    if (!id.ok()) return reply(id.status());
    core->parts.gate->PostVisibility(std::move(who), [core, id = *id, name,
                                                      reply](absl::StatusOr<JobVisibility> sees) {
      if (!sees.ok()) return reply(sees.status());
      const auto on_page = [name, reply](absl::StatusOr<JobNodePage> page) {
        if (!page.ok()) return reply(page.status());
        if (page->nodes.empty()) {
          const std::string text = absl::StrCat("there is no ", name);
          return reply(
              api::WithResource(api::Error(absl::StatusCode::kNotFound, "JOB_NODE_NOT_FOUND", text),
                                "orch.v1.JobNode", name, text));
        }
        GetJobNodeResponse response;
        *response.mutable_node() = std::move(page->nodes.front());
        reply(std::move(response));
      };
      core->parts.dispatcher.Post([id, viewer = *std::move(sees), on_page](DispatcherApi& there) {
        there.ListJobNodes({.job_id = id.job_id, .node = id.node}, viewer, on_page);
      });
    });
  }

  static ListCatalogResponse Catalog() {
    ListCatalogResponse response;
    for (const api::ActionInfo& info : api::Actions()) {
      CatalogAction* action = response.add_actions();
      action->set_name(info.name);
      action->set_summary(info.summary);
      action->set_mutates(info.mutates);
      *(info.mutates ? action->mutable_run_timeout() : action->mutable_answer_timeout()) =
          ToProtoDuration(info.mutates ? info.run_timeout : info.answer_timeout);
      action->set_schema_digest(info.schema_digest);
      for (const api::ArgumentInfo& from : info.arguments) {
        CatalogArgument* argument = action->add_arguments();
        argument->set_name(from.name);
        argument->set_type(from.type);
        argument->set_pattern(from.options.pattern());
        argument->set_max_length(from.options.max_length());
        argument->set_max_items(from.options.max_items());
        argument->set_sensitive(from.options.sensitive());
        argument->set_required(from.options.required());
      }
    }
    return response;
  }

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* context, const Request* request,
                                   Response* response, JobChange change,
                                   const std::string& reason) {
    return PostCall(core_, context, *request, response,
                    [core = core_, change, name = request->name(), reason](CallerEvidence who,
                                                                           Reply<Response> reply) {
                      absl::StatusOr<std::string> id = api::ParseJobName("name", name);
                      if (!id.ok()) return reply(id.status());
                      core->parts.gate->PostChangeJob(std::move(who), change, *std::move(id),
                                                      reason, WithJob(reply));
                    });
  }

  const std::shared_ptr<ServiceCore> core_;
};

}  // namespace

std::unique_ptr<grpc::Service> NewJobService(std::shared_ptr<ServiceCore> core) {
  return std::make_unique<JobServer>(std::move(core));
}

}  // namespace orch::controller
