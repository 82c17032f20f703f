// SPDX-License-Identifier: Apache-2.0
#include "absl/strings/str_cat.h"
#include "api/catalog.h"
#include "api/change.h"
#include "api/errors.h"
#include "api/job_groups.h"
#include "api/names.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "controller/gate/validate.h"
#include "controller/job/job_filter.h"
#include "controller/service/out_stream.h"
#include "controller/service/pages.h"
#include "controller/service/read_mask.h"
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
  grpc::ServerUnaryReactor* SummarizeJob(grpc::CallbackServerContext* context,
                                         const SummarizeJobRequest* request,
                                         SummarizeJobResponse* response) override {
    return PostCall(core_, context, *request, response,
                    [core = core_, name = request->name()](CallerEvidence who,
                                                           Reply<SummarizeJobResponse> reply) {
                      Summarize(core, std::move(who), name, reply);
                    });
  }
  grpc::ServerWriteReactor<WatchJobsResponse>* WatchJobs(grpc::CallbackServerContext* context,
                                                         const WatchJobsRequest* request) override {
    return StartWatchJobs(core_, EvidenceOf(*core_, *context), *request);
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

  static absl::Status Validate(const ListJobsRequest& request) {
    ORCH_RETURN_IF_ERROR(ValidateReadMask<Job>(request.read_mask()));
    return ValidateJobFilter("filter", request.filter());
  }

  static void List(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                   const ListJobsRequest& request, Reply<ListJobsResponse> reply) {
    const absl::StatusOr<int> size = PageSize(request.page_size(), kJobsInPage, kPageMax);
    if (!size.ok()) return reply(size.status());
    if (const absl::Status valid = Validate(request); !valid.ok()) return reply(valid);
    core->parts.gate->PostVisibility(std::move(who), [core, request, size = *size,
                                                      reply](absl::StatusOr<JobVisibility> sees) {
      if (!sees.ok()) return reply(sees.status());
      JobsQuery query;
      for (const int state : request.states()) {
        query.states.push_back(static_cast<JobState>(state));
      }
      query.caller = request.caller();
      query.oldest_first = request.oldest_first();
      if (request.has_filter()) query.filter = request.filter();
      auto fetch = [core, query, mask = request.read_mask(), sees = *sees](
                       int size, const std::string& token, auto done) {
        auto on_page = [done, mask](absl::StatusOr<JobPage> page) {
          if (!page.ok()) return done(page.status());
          ListJobsResponse part;
          for (Job& job : page->jobs) {
            TrimTo(mask, &job);
            part.mutable_jobs()->Add(std::move(job));
          }
          part.set_next_page_token(std::move(page->next_page_token));
          done(std::move(part));
        };
        JobsQuery here = query;
        here.page_size = size;
        here.page_token = token;
        core->parts.dispatcher.Post([here = std::move(here), sees, on_page](DispatcherApi& there) {
          there.ListJobs(here, sees, on_page);
        });
      };
      GatherPage<ListJobsResponse>(fetch, &ListJobsResponse::jobs_size, size, request.page_token(),
                                   reply);
    });
  }

  // The differences of files are only for who may read them.
  static void HideDiffs(const JobVisibility& sees, JobNode* node) {
    if (sees.diffs || !node->result().has_puppet_run()) return;
    api::DropDiffs("not_permitted", node->mutable_result()->mutable_puppet_run());
  }

  static void ListNodes(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                        const ListJobNodesRequest& request, Reply<ListJobNodesResponse> reply) {
    const absl::StatusOr<int> size = PageSize(request.page_size(), kNodesInPage, kPageMax);
    if (!size.ok()) return reply(size.status());
    const absl::StatusOr<std::string> id = api::ParseJobName("parent", request.parent());
    if (!id.ok()) return reply(id.status());
    const absl::Status mask = ValidateReadMask<JobNode>(request.read_mask());
    if (!mask.ok()) return reply(mask);
    core->parts.gate->PostVisibility(std::move(who), [core, request, size = *size, id = *id,
                                                      reply](absl::StatusOr<JobVisibility> sees) {
      if (!sees.ok()) return reply(sees.status());
      JobNodesQuery query{.job_id = id};
      for (const int state : request.states()) {
        query.states.push_back(static_cast<NodeState>(state));
      }
      for (const int verdict : request.verdicts()) {
        query.verdicts.push_back(static_cast<PuppetRunVerdict>(verdict));
      }
      query.reasons.assign(request.reasons().begin(), request.reasons().end());
      auto fetch = [core, query, mask = request.read_mask(), sees = *sees](
                       int size, const std::string& token, auto done) {
        auto on_page = [done, mask, sees](absl::StatusOr<JobNodePage> page) {
          if (!page.ok()) return done(page.status());
          ListJobNodesResponse part;
          for (JobNode& node : page->nodes) {
            HideDiffs(sees, &node);
            TrimTo(mask, &node);
            part.mutable_nodes()->Add(std::move(node));
          }
          part.set_next_page_token(std::move(page->next_page_token));
          done(std::move(part));
        };
        JobNodesQuery here = query;
        here.page_size = size;
        here.page_token = token;
        core->parts.dispatcher.Post([here = std::move(here), sees, on_page](DispatcherApi& there) {
          there.ListJobNodes(here, sees, on_page);
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
      const auto on_page = [name, sees = *sees, reply](absl::StatusOr<JobNodePage> page) {
        if (!page.ok()) return reply(page.status());
        if (page->nodes.empty()) {
          const std::string text = absl::StrCat("there is no ", name);
          return reply(
              api::WithResource(api::Error(absl::StatusCode::kNotFound, "JOB_NODE_NOT_FOUND", text),
                                "orch.v1.JobNode", name, text));
        }
        GetJobNodeResponse response;
        *response.mutable_node() = std::move(page->nodes.front());
        HideDiffs(sees, response.mutable_node());
        reply(std::move(response));
      };
      core->parts.dispatcher.Post([id, viewer = *std::move(sees), on_page](DispatcherApi& there) {
        there.ListJobNodes({.job_id = id.job_id, .node = id.node}, viewer, on_page);
      });
    });
  }

  // Pages of the job's nodes, into groups.
  struct Summing {
    std::shared_ptr<ServiceCore> core;
    JobVisibility sees;
    JobNodesQuery query;
    Job job;
    api::JobGroups groups = {};
  };

  static void Summarize(const std::shared_ptr<ServiceCore>& core, CallerEvidence who,
                        const std::string& name, Reply<SummarizeJobResponse> reply) {
    const absl::StatusOr<std::string> id = api::ParseJobName("name", name);
    if (!id.ok()) return reply(id.status());
    core->parts.gate->PostVisibility(std::move(who), [core, id = *id,
                                                      reply](absl::StatusOr<JobVisibility> sees) {
      if (!sees.ok()) return reply(sees.status());
      auto on_job = [core, id, sees = *sees, reply](absl::StatusOr<Job> job) {
        if (!job.ok()) return reply(job.status());
        JobNodesQuery query{.job_id = id, .page_size = kNodesInPage};
        SumSome(std::make_shared<Summing>(Summing{core, sees, std::move(query), *std::move(job)}),
                reply);
      };
      core->parts.dispatcher.Post(
          [id, viewer = *sees, on_job](DispatcherApi& there) { there.GetJob(id, viewer, on_job); });
    });
  }

  static void SumSome(const std::shared_ptr<Summing>& summing,
                      const Reply<SummarizeJobResponse>& reply) {
    auto on_page = [summing, reply](absl::StatusOr<JobNodePage> page) {
      if (!page.ok()) return reply(page.status());
      // Not on the dispatcher's strand, where all others wait.
      boost::asio::post(*summing->core->parts.io,
                        [summing, reply, page = *std::move(page)]() mutable {
                          for (JobNode& node : page.nodes) {
                            HideDiffs(summing->sees, &node);
                            summing->groups.Add(node);
                          }
                          if (!page.next_page_token.empty()) {
                            summing->query.page_token = std::move(page.next_page_token);
                            return SumSome(summing, reply);
                          }
                          SummarizeJobResponse response;
                          JobSummary* summary = response.mutable_summary();
                          *summary->mutable_job() = std::move(summing->job);
                          for (JobGroup& group : summing->groups.Take())
                            *summary->add_groups() = std::move(group);
                          reply(std::move(response));
                        });
    };
    summing->core->parts.dispatcher.Post(
        [query = summing->query, sees = summing->sees, on_page](DispatcherApi& there) {
          there.ListJobNodes(query, sees, on_page);
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
