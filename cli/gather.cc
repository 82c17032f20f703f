// SPDX-License-Identifier: Apache-2.0
#include "cli/gather.h"

#include <memory>
#include <ostream>

#include "cli/failure.h"
#include "cli/nothing.h"
#include "cli/render.h"

namespace orch::cli {

absl::StatusOr<Tally> Gather(Session& session, Connection& connection, orch::v1::JobSpec spec,
                             const std::function<void(orch::v1::JobNode*)>& on_ended) {
  orch::v1::RunJobRequest request;
  *request.mutable_spec() = std::move(spec);
  request.set_idempotency_key(session.options.idempotency_key);
  const std::unique_ptr<JobStream> stream = connection.Run(request);
  Tally tally;
  for (;;) {
    orch::v1::WatchJobResponse batch;
    switch (stream->Next(absl::Seconds(1), &batch)) {
      case JobStream::Got::kMessage:
        for (orch::v1::JobEvent& event : *batch.mutable_events()) {
          if (on_ended != nullptr && event.has_node() && IsTerminal(event.node().state()))
            on_ended(event.mutable_node());
        }
        tally.Apply(batch);
        break;
      case JobStream::Got::kNothingYet:
        break;
      case JobStream::Got::kEnd:
        if (!tally.finished() && !stream->status().ok()) return stream->status();
        return tally;
    }
  }
}

void NameTheRest(const Session& session, Connection& connection, const Tally& tally) {
  for (const auto& [name, node] : tally.nodes()) {
    if (node.state() != orch::v1::NODE_STATE_SUCCEEDED)
      session.terminal.err << NodeLine(session.terminal, node) << "\n";
  }
  if (tally.nodes().empty()) {
    session.terminal.err << "no node matched\n";
    const orch::v1::JobSpec& spec = tally.job().spec();
    for (const std::string& line : WhyNobody(connection, spec.target(), spec.nodes())) {
      session.terminal.err << line << "\n";
    }
  }
  session.terminal.err.flush();
}

int ReadOnlyJob(Session& session, const JobRequestFlags& flags, orch::v1::Action action,
                const std::function<void(const Tally&)>& show,
                const std::function<void(orch::v1::JobNode*)>& take) {
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  if (session.options.dry_run) return RunAndFollow(session, **connection, *std::move(spec));
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  std::function<void(orch::v1::JobNode*)> on_ended;
  if (output == Output::kTable || output == Output::kWide) on_ended = take;
  if (output == Output::kJsonl) {
    on_ended = [&terminal, output](orch::v1::JobNode* node) {
      terminal.out << Serialized(*node, output) << std::flush;
      node->clear_result();
    };
  }
  const absl::StatusOr<Tally> tally = Gather(session, **connection, *std::move(spec), on_ended);
  if (!tally.ok()) return Fail(session, tally.status());
  switch (output) {
    case Output::kJson:
    case Output::kYaml:
      terminal.out << Serialized(tally->Report(), output);
      break;
    case Output::kName:
      for (const auto& [name, node] : tally->nodes()) {
        if (node.state() == orch::v1::NODE_STATE_SUCCEEDED) terminal.out << name << "\n";
      }
      break;
    case Output::kTable:
    case Output::kWide:
      show(*tally);
      break;
    case Output::kJsonl:
      break;
  }
  terminal.out.flush();
  NameTheRest(session, **connection, *tally);
  return tally->Exit(*tolerance);
}

}  // namespace orch::cli
