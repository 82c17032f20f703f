// SPDX-License-Identifier: Apache-2.0

// The order in which things are made and ended is the point of this file. Files are checked before
// anything is opened, so that a mistake in the configuration leaves no trace; the state directory
// is locked before the journal is opened; the agent subscribes only when journal, facts and actions
// are there. On the way out presence says goodbye and the journal's thread is joined, and then the
// process ends by _Exit: a thread that hangs in a dead file system must not keep the agent from
// stopping, and what else is being written is replaced whole or not at all.

#include "nodeagent/run.h"

#include <fcntl.h>
#include <link.h>
#include <malloc.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <ctime>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/proto_time.h"
#include "base/worker.h"
#include "bus/client/client.h"
#include "bus/stomp/bus_config.h"
#include "bus/stream/stream.h"
#include "nodeagent/actions/actions_parts.h"
#include "nodeagent/agent/agent.h"
#include "nodeagent/metrics_file.h"
#include "nodeagent/status_file.h"

namespace orch::nodeagent {
namespace {

namespace asio = base::asio;

constexpr absl::Duration kTickInterval = absl::Seconds(1);
constexpr absl::Duration kReloadInterval = absl::Minutes(1);
// A policy that was changed within this time may be half written.
constexpr absl::Duration kPolicyQuiet = absl::Seconds(1);
constexpr absl::Duration kStopMax = absl::Seconds(3);
constexpr absl::Duration kSlimDelay = absl::Seconds(5);
// A machine that has been up for less may be one of very many that got their power back.
constexpr absl::Duration kFreshBoot = absl::Minutes(10);
// Read from the bus; a fleet's ordinary day is some ten a minute. Verifying so many signatures
// takes a fifth of a core.
constexpr uint32_t kMessagesPerSecondMax = 1000;

// What a node agent is made of, in the order in which it is made.
struct Parts {
  NodeAgentConfig config;
  Self self;
  absl::Time start_time;
  std::shared_ptr<trust::Credentials> credentials;
  std::shared_ptr<const policy::Policy> policy;  // this node's own; may be null
  std::string journal_reset;                     // why the journal began anew; empty: it did not

  asio::io_context context{1};  // everything but blocking work runs here, on this thread
  base::Strand strand{asio::make_strand(context)};
  std::unique_ptr<base::Worker> store = base::NewThreadWorker();   // the journal's
  std::unique_ptr<base::Worker> worker = base::NewThreadWorker();  // reports
  std::unique_ptr<JournalStore> journal;
  std::unique_ptr<PuppetPathsFinder> paths;
  std::unique_ptr<Facts> facts;
  std::unique_ptr<Actions> actions;
  std::unique_ptr<bus::Client> client;
  std::unique_ptr<Agent> agent;
  std::unique_ptr<StatusFile> status_file;
  std::unique_ptr<MetricsFile> metrics_file;  // null if there is to be none

  asio::steady_timer tick{strand};
  asio::steady_timer last_resort{strand};  // bounds the farewell
  asio::signal_set signals{strand};
  absl::Duration next_reload;  // steady
  absl::Duration next_slim;    // steady; when what only the start or new facts needed is given back
  std::filesystem::file_time_type policy_time;
};

absl::Status MakeDirectory(const std::string& path, int mode) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("make directory ", path));
  }
  if (access(path.c_str(), W_OK | X_OK) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("use directory ", path));
  }
  return absl::OkStatus();
}

// Two agents with one journal would be two nodes of one name. Held until the process ends.
absl::Status LockStateDirectory(const std::string& state_dir) {
  const std::string path = absl::StrCat(state_dir, "/lock");
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("lock ", path, ": another node agent uses this state_dir"));
  }
  return absl::OkStatus();
}

void WarnOfTrust(const trust::Credentials& credentials) {
  for (const std::string& warning : credentials.Warnings(absl::Now())) {
    base::LogWarning("trust", {{"why", warning}});
  }
}

// What the configuration names on disk: refused as a mistake in the configuration.
absl::Status LoadFiles(Parts* parts) {
  const auto invalid = [](const absl::Status& status, absl::string_view field) {
    return absl::InvalidArgumentError(absl::StrCat(field, ": ", status.message()));
  };
  auto credentials = trust::Credentials::Load(parts->config.trust(), absl::Now());
  if (!credentials.ok()) return invalid(credentials.status(), "trust");
  parts->credentials = *std::move(credentials);
  WarnOfTrust(*parts->credentials);
  const std::string& name = parts->credentials->self().common_name;
  const std::string& wanted = parts->config.identity();
  if (!wanted.empty() && wanted != name) {
    return absl::InvalidArgumentError(absl::StrCat("identity: ", wanted, " is not the CN of ",
                                                   parts->config.trust().certificate(),
                                                   ", which is ", name));
  }
  if (!base::IsIdentity(name)) {
    return absl::InvalidArgumentError(absl::StrCat("trust.certificate: its CN \"", name,
                                                   "\" is no identity, [a-z0-9._-]{1,253}"));
  }
  parts->self.identity = name;
  base::SetLogOrigin("node", name);
  if (!parts->config.policy_file().empty()) {
    auto policy = policy::Policy::LoadNative(parts->config.policy_file());
    if (!policy.ok()) return invalid(policy.status(), "policy_file");
    parts->policy = *std::move(policy);
    std::error_code ignored;
    parts->policy_time = std::filesystem::last_write_time(parts->config.policy_file(), ignored);
  }
  return absl::OkStatus();
}

std::string JournalPath(const NodeAgentConfig& config) {
  return absl::StrCat(config.state_dir(), "/journal.db");
}

absl::Status OpenJournal(Parts* parts) {
  const NodeAgentConfig& config = parts->config;
  ORCH_RETURN_IF_ERROR(MakeDirectory(config.state_dir(), 0700));
  ORCH_RETURN_IF_ERROR(MakeDirectory(config.run_dir(), 0755));
  ORCH_RETURN_IF_ERROR(LockStateDirectory(config.state_dir()));
  JournalOptions options;
  options.path = JournalPath(config);
  options.sequence_path = absl::StrCat(config.run_dir(), "/journal.sequence");
  options.result_retention = ToDuration(config.result_retention());
  auto journal = Journal::Open(options, base::SystemClock().Read());
  if (!journal.ok()) return base::Annotate(journal.status(), "journal");
  parts->journal_reset = (*journal)->reset_reason();
  if (!parts->journal_reset.empty()) {
    base::LogInfo("journal: what was issued before now is refused",
                  {{"why", parts->journal_reset}});
  }
  parts->journal = std::make_unique<JournalStore>(parts->strand, parts->store.get(),
                                                  *std::move(journal), &base::SystemClock());
  return absl::OkStatus();
}

void MakeNode(Parts* parts) {
  const NodeAgentConfig& config = parts->config;
  const std::string& state = config.state_dir();
  const base::Clock* clock = &base::SystemClock();
  parts->paths = std::make_unique<PuppetPathsFinder>(parts->strand, clock, config.puppet(),
                                                     absl::StrCat(state, "/puppet_paths.json"));
  FactsParts facts{parts->strand,
                   clock,
                   parts->paths.get(),
                   config.facts(),
                   absl::StrCat(state, "/facts.json"),
                   parts->self.identity,
                   parts->self.collectives};
  parts->facts = std::make_unique<Facts>(std::move(facts));
  ActionsParts actions{.strand = parts->strand,
                       .worker = parts->worker.get(),
                       .clock = clock,
                       .paths = parts->paths.get(),
                       .facts = parts->facts.get(),
                       .state_dir = state,
                       .wrapper = {OwnProgram(), "run-wrapper"},
                       .start_time = parts->start_time};
  parts->actions = NewActions(std::move(actions));
  std::vector<std::string> names;
  for (const auto& action : parts->actions->Offered()) names.push_back(action.name());
  parts->facts->SetActions(std::move(names));
}

absl::Duration UpTime() {
  timespec up{};
  clock_gettime(CLOCK_BOOTTIME, &up);
  return absl::DurationFromTimespec(up);
}

void MakeBus(Parts* parts) {
  const bus::BusConfig& config = parts->config.bus();
  bus::Client::Options options;
  options.config = config;
  if (bus::UsesTls(config)) options.credentials = parts->credentials;
  options.client_id = parts->self.identity;
  options.messages_per_second = kMessagesPerSecondMax;
  options.spread_start = UpTime() < kFreshBoot;
  auto streams = bus::NewNetworkStreams(options.credentials, config.tls_server_name());
  parts->client =
      std::make_unique<bus::Client>(parts->strand, std::move(options), std::move(streams));
  if (!bus::UsesTls(config)) {
    base::LogWarning("STOMP without TLS: what travels can be read, though not forged",
                     {{"insecure_loopback", config.insecure_loopback()},
                      {"allow_plaintext", config.allow_plaintext()}});
  }
}

void MakeAgent(Parts* parts) {
  const bus::BusConfig& bus = parts->config.bus();
  bus::Destinations destinations;
  if (bus.flavour() != bus::FLAVOUR_UNSPECIFIED) destinations.flavour = bus.flavour();
  if (!bus.destination_prefix().empty()) destinations.prefix = bus.destination_prefix();
  AgentParts made{.strand = parts->strand,
                  .clock = &base::SystemClock(),
                  .self = parts->self,
                  .destinations = destinations,
                  .client = parts->client.get(),
                  .credentials = parts->credentials,
                  .actions = parts->actions.get(),
                  .journal = parts->journal.get(),
                  .facts = parts->facts.get(),
                  .policy = parts->policy,
                  .running_max = static_cast<int>(parts->config.max_running()),
                  .presence_interval = ToDuration(parts->config.presence_interval()),
                  .start_time = parts->start_time,
                  .other_brokers = bus.brokers_size() > 1,
                  .on_change = [parts] {
                    if (parts->status_file != nullptr) parts->status_file->OnChange();
                  }};
  parts->agent = std::make_unique<Agent>(std::move(made));
  const StatusSources sources{.clock = &base::SystemClock(),
                              .agent = parts->agent.get(),
                              .client = parts->client.get(),
                              .credentials = parts->credentials.get(),
                              .actions = parts->actions.get(),
                              .facts = parts->facts.get(),
                              .paths = parts->paths.get(),
                              .self = parts->self,
                              .start_time = parts->start_time,
                              .journal_reset = parts->journal_reset,
                              .journal_path = JournalPath(parts->config)};
  parts->status_file = std::make_unique<StatusFile>(
      parts->strand, absl::StrCat(parts->config.run_dir(), "/", kStatusFileName),
      [sources] { return GatherStatus(sources); });
  if (parts->config.metrics_file().empty()) return;
  parts->metrics_file = std::make_unique<MetricsFile>(
      parts->strand, parts->config.metrics_file(), [sources] { return NodeMetricsText(sources); });
}

// Whether nobody has changed the file within kPolicyQuiet.
bool IsSettled(const std::string& path) {
  struct stat about;
  if (stat(path.c_str(), &about) != 0) return true;
  const absl::Time changed =
      std::max(absl::TimeFromTimespec(about.st_mtim), absl::TimeFromTimespec(about.st_ctim));
  return absl::AbsDuration(absl::Now() - changed) >= kPolicyQuiet;
}

void ReloadFiles(Parts* parts, bool asked) {
  const auto changed = parts->credentials->Reload(absl::Now());
  if (!changed.ok()) {
    base::LogError("reload certificates: the old ones stay",
                   {{"error", changed.status().ToString()}});
  } else if (*changed) {
    base::LogInfo("reloaded certificates");
    WarnOfTrust(*parts->credentials);
  }
  const std::string& path = parts->config.policy_file();
  if (path.empty()) return;
  std::error_code ignored;
  const auto time = std::filesystem::last_write_time(path, ignored);
  if (!asked && time == parts->policy_time) return;
  if (!IsSettled(path)) {
    // It may be half written: another look.
    parts->next_reload = base::SystemClock().Read().steady + kPolicyQuiet;
    return;
  }
  parts->policy_time = time;
  auto policy = policy::Policy::LoadNative(path);
  absl::Status good = policy.status();
  if (good.ok() && parts->policy != nullptr) good = policy::CheckEnds(*parts->policy, **policy);
  if (!good.ok()) {
    base::LogError("reload policy: the old one stays", {{"error", good.ToString()}});
    return;
  }
  parts->policy = *std::move(policy);
  parts->agent->TakePolicy(parts->policy);
  base::LogInfo("reloaded policy", {{"file", path}});
}

// Static initialisers and OpenSSL's start touch most of the program's pages once. They are
// read-only and of a file: whatever is needed again comes back from the page cache.
void GiveBackPages() {
  malloc_trim(0);
  dl_iterate_phdr(
      [](dl_phdr_info* object, size_t, void*) {
        const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
        for (int i = 0; i < object->dlpi_phnum; ++i) {
          const auto& segment = object->dlpi_phdr[i];
          if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
          const uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) & ~(page - 1);
          const uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
          madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
        }
        return 0;
      },
      nullptr);
}

void Tick(Parts* parts) {
  const absl::Duration now = base::SystemClock().Read().steady;
  parts->agent->OnTick();
  if (now >= parts->next_slim) {
    parts->next_slim = absl::InfiniteDuration();
    GiveBackPages();
  }
  if (now >= parts->next_reload) {
    parts->next_reload = now + kReloadInterval;
    ReloadFiles(parts, /*asked=*/false);
    // Requests, facts and reports come and go; idle, the agent is to be small. Beacons touch few
    // pages.
    if (parts->agent->running().empty()) GiveBackPages();
  }
  parts->tick.expires_after(absl::ToChronoNanoseconds(kTickInterval));
  parts->tick.async_wait([parts](boost::system::error_code error) {
    if (!error) Tick(parts);
  });
}

void Stop(Parts* parts) {
  base::LogInfo("stopping; Puppet runs go on");
  parts->tick.cancel();
  parts->agent->Leave();
  parts->status_file->Remove();
  if (parts->metrics_file != nullptr) parts->metrics_file->Remove();
  parts->last_resort.expires_after(absl::ToChronoNanoseconds(kStopMax));
  parts->last_resort.async_wait([parts](boost::system::error_code) { parts->context.stop(); });
  parts->client->Stop([parts] { parts->context.stop(); });
}

void AwaitSignal(Parts* parts) {
  parts->signals.async_wait([parts](boost::system::error_code error, int signal) {
    if (error) return;
    if (signal != SIGHUP) return Stop(parts);
    ReloadFiles(parts, /*asked=*/true);
    parts->facts->Refresh();
    AwaitSignal(parts);
  });
}

void Start(Parts* parts) {
  parts->signals.add(SIGTERM);
  parts->signals.add(SIGINT);
  parts->signals.add(SIGHUP);
  AwaitSignal(parts);
  parts->next_reload = base::SystemClock().Read().steady + kReloadInterval;
  parts->next_slim = base::SystemClock().Read().steady + kSlimDelay;
  parts->facts->Start([parts] {
    parts->next_slim = base::SystemClock().Read().steady + kSlimDelay;
    parts->agent->OnNodeChange();
  });
  parts->agent->Start();
  Tick(parts);
  parts->status_file->OnChange();
  if (parts->metrics_file != nullptr) parts->metrics_file->Start();
  base::LogInfo("ready", {{"node", parts->self.identity},
                          {"role", trust::RoleName(parts->credentials->self().role)},
                          {"took", absl::FormatDuration(absl::Now() - parts->start_time)}});
}

}  // namespace

absl::Status RunNodeAgent(const NodeAgentConfig& config) {
  Parts parts;
  parts.config = config;
  parts.start_time = absl::Now();
  parts.self.collectives = {config.collectives().begin(), config.collectives().end()};
  parts.self.controllers = {config.controllers().begin(), config.controllers().end()};
  ORCH_RETURN_IF_ERROR(LoadFiles(&parts));
  ORCH_RETURN_IF_ERROR(OpenJournal(&parts));
  signal(SIGPIPE, SIG_IGN);
  MakeNode(&parts);
  MakeBus(&parts);
  MakeAgent(&parts);
  asio::post(parts.strand, [&parts] { Start(&parts); });
  parts.context.run();

  parts.store->Stop();  // what was to be written is
  base::LogInfo("stopped");
  // What reads a report or a fact on its thread may hang; nobody waits for that.
  std::_Exit(0);
}

}  // namespace orch::nodeagent
