// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/metrics_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "base/telemetry/metrics_page.h"
#include "bus/client/client_metrics.h"
#include "nodeagent/text/replace_file.h"

namespace orch::nodeagent {
namespace {

using base::MetricsPage;

// A controller that was silent for so long counts as silent.
const absl::Duration kSilentAfter = kBeaconsMissedMax * kBeaconInterval;

std::string Word(const std::string& name, absl::string_view prefix) {
  return absl::AsciiStrToLower(absl::string_view(name).substr(prefix.size()));
}

void Requests(const Agent& agent, MetricsPage* page) {
  page->Counter("requests_received_total", "Messages that came on the request destinations.")
      .Value(agent.counters().received);
  page->Counter("requests_passed_total", "Requests that were carried out or answered.")
      .Value(agent.counters().passed);
  page->Counter("requests_stopped_total", "Requests that went no further, by the ladder's rung.");
  for (size_t i = 0; i < kRungs; ++i) {
    page->Value(agent.counters().stopped[i], {{"rung", RungName(static_cast<Rung>(i))}});
  }
}

void Runs(const Agent& agent, MetricsPage* page) {
  page->Gauge("actions_running", "Actions under way.").Value(uint64_t{agent.running().size()});
  page->Counter("actions_total", "Actions that ended, by their outcome.");
  const RunCounters& runs = agent.run_counters();
  for (int state = orch::v1::NODE_STATE_SUCCEEDED; state <= orch::v1::NODE_STATE_CANCELLED;
       ++state) {
    const auto outcome = static_cast<orch::v1::NodeState>(state);
    page->Value(runs.ended[state],
                {{"outcome", Word(orch::v1::NodeState_Name(outcome), "NODE_STATE_")}});
  }
  page->Counter("puppet_runs_total", "Puppet runs that ended, by verdict.");
  for (int number = 1; number <= orch::v1::PuppetRunVerdict_MAX; ++number) {
    const auto verdict = static_cast<orch::v1::PuppetRunVerdict>(number);
    page->Value(
        runs.verdicts[number],
        {{"verdict", Word(orch::v1::PuppetRunVerdict_Name(verdict), "PUPPET_RUN_VERDICT_")}});
  }
  page->Gauge("outcomes_unsent", "Outcomes that the broker has not confirmed.")
      .Value(uint64_t{agent.unsent()});
}

void Controllers(const StatusSources& sources, base::Now now, MetricsPage* page) {
  const Beacons& beacons = sources.agent->beacons();
  absl::Time newest = absl::InfinitePast();
  uint64_t heard = 0;
  bool frozen = false;
  for (const auto& [name, seen] : beacons.seen()) {
    newest = std::max(newest, seen.at.wall);
    heard += now.steady - seen.at.steady < kSilentAfter;
    frozen = frozen || seen.frozen;
  }
  page->Gauge("controllers", "Controllers of `controllers:`, by whether their beacons come.")
      .Value(heard, {{"state", "heard"}})
      .Value(sources.self.controllers.size() - heard, {{"state", "silent"}});
  page->Gauge("last_beacon_timestamp_seconds",
              "When the newest beacon of any controller came; absent before the first.")
      .Value(newest);
  if (const auto skew = beacons.WidestSkew(now)) {
    page->Gauge("clock_skew_seconds",
                "This node's clock minus a controller's, of the one that is furthest off.")
        .Value(absl::ToDoubleSeconds(*skew));
  }
  page->Gauge("frozen", "Whether a controller says that mutating actions are frozen.")
      .Value(frozen);
  page->Counter("deaf_total", "Times that all beacons were missed and the broker was changed.")
      .Value(beacons.times_deaf());
}

void Files(const StatusSources& sources, MetricsPage* page) {
  page->Gauge("facts_timestamp_seconds", "When the facts were read; absent before the first time.")
      .Value(sources.facts->read_time());
  page->Gauge("fact_sources_failing", "Sources of facts whose last good values are used.")
      .Value(uint64_t{sources.facts->errors().size()});
  page->Gauge("puppet_disabled", "Whether Puppet runs are forbidden on this node.")
      .Value(!sources.actions->PuppetState().enabled());
  page->Gauge("journal_reset", "Whether the journal began anew at the start, as after a boot.")
      .Value(!sources.journal_reset.empty());
  page->Counter("journal_failures_total", "Reads and writes of the journal that failed.")
      .Value(sources.agent->run_counters().journal_failures);
  struct stat journal = {};
  if (stat(sources.journal_path.c_str(), &journal) == 0) {
    page->Gauge("journal_bytes", "The journal's file.")
        .Value(static_cast<uint64_t>(journal.st_size));
  }
  page->Gauge("journal_bytes_max", "At this size of the file nothing more is accepted.")
      .Value(static_cast<uint64_t>(kJournalBytesMax));
  page->Gauge("certificate_end_timestamp_seconds", "When this node's certificate ends.")
      .Value(sources.credentials->certificate_end());
  page->Gauge("crl_end_timestamp_seconds",
              "When the first revocation list ends; absent where there are none.")
      .Value(sources.credentials->crl_end(sources.clock->Read().wall));
}

}  // namespace

std::string NodeMetricsText(const StatusSources& sources) {
  MetricsPage page("orch_nodeagent_");
  // node_exporter has a process of its own on the same page.
  page.Process(/*own_prefix=*/true);
  bus::WriteClient(sources.client->status(), &page);
  Requests(*sources.agent, &page);
  Runs(*sources.agent, &page);
  Controllers(sources, sources.clock->Read(), &page);
  Files(sources, &page);
  return page.Take();
}

MetricsFile::MetricsFile(base::Strand strand, std::string path, std::function<std::string()> gather)
    : path_(std::move(path)), gather_(std::move(gather)), timer_(strand) {}

void MetricsFile::Start() {
  Write();
  timer_.expires_after(absl::ToChronoNanoseconds(kMetricsFileInterval));
  timer_.async_wait(lifetime_.Guard([this](boost::system::error_code error) {
    if (!error) Start();
  }));
}

void MetricsFile::Write() {
  const absl::Status status = ReplaceFile(path_, gather_());
  if (!status.ok() && limiter_.Admit("", base::SystemClock().Read())) {
    base::LogWarning("metrics file", {{"error", status.message()}});
  }
}

void MetricsFile::Remove() {
  timer_.cancel();
  unlink(path_.c_str());
}

}  // namespace orch::nodeagent
