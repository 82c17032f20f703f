// SPDX-License-Identifier: Apache-2.0
#include "cli/gather.h"

#include <memory>
#include <ostream>

#include "api/catalog.h"
#include "cli/failure.h"
#include "cli/render.h"

namespace orch::cli {

absl::StatusOr<Tally> Gather(Session& session, Connection& connection, orch::v1::JobSpec spec) {
  orch::v1::RunJobRequest request;
  *request.mutable_spec() = std::move(spec);
  const std::unique_ptr<JobStream> stream = connection.Run(request);
  Tally tally;
  for (;;) {
    orch::v1::WatchJobResponse batch;
    switch (stream->Next(absl::Seconds(1), &batch)) {
      case JobStream::Got::kMessage:
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

int ReadOnlyJob(Session& session, const JobRequestFlags& flags, const std::string& action_name,
                const std::vector<std::string>& words,
                const std::function<void(const Tally&)>& show) {
  absl::StatusOr<orch::v1::Action> action = api::Parse(action_name, words);
  if (!action.ok()) return Fail(session, action.status());
  absl::StatusOr<orch::v1::JobSpec> spec = BuildSpec(session, flags, *std::move(action));
  if (!spec.ok()) return Fail(session, spec.status());
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  const auto connection = Connect(session);
  if (!connection.ok()) return Fail(session, connection.status());
  absl::StatusOr<Tally> tally = Gather(session, **connection, *std::move(spec));
  if (!tally.ok()) return Fail(session, tally.status());
  const Output output = OutputOf(session.options);
  if (output == Output::kJson || output == Output::kYaml || output == Output::kJsonl) {
    session.terminal.out << Serialized(tally->Report(), output) << std::flush;
  } else {
    show(*tally);
    for (const auto& [name, node] : tally->nodes()) {
      if (node.state() != orch::v1::NODE_STATE_SUCCEEDED)
        session.terminal.err << NodeLine(session.terminal, node) << "\n";
    }
    if (tally->nodes().empty()) session.terminal.err << "no node matched" << std::endl;
  }
  return tally->Exit(*tolerance);
}

}  // namespace orch::cli
