// SPDX-License-Identifier: Apache-2.0

// Following a job must survive everything that is not the job's end: a lost connection, a restarted
// controller, ^C. The idempotency key makes asking again for a job that may have been taken
// harmless; the sequence number makes joining again exact, and events that are known already change
// nothing (Tally). Losing the terminal never cancels a job: the first ^C leaves, and only a second
// one soon after cancels. The live line is on standard error and is cleared before anything else is
// printed; data alone goes to standard output.

#include "cli/follow.h"

#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "api/action_words.h"
#include "api/catalog.h"
#include "api/errors.h"
#include "api/names.h"
#include "base/clock.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/proto_time.h"
#include "base/status.h"
#include "cli/confirm.h"
#include "cli/contexts.h"
#include "cli/failure.h"
#include "cli/groups.h"
#include "cli/interrupt.h"
#include "cli/live.h"
#include "cli/nothing.h"
#include "cli/rejoin.h"
#include "cli/render.h"
#include "cli/tally.h"

namespace orch::cli {
namespace {

using orch::v1::JobNode;

constexpr absl::Duration kTick = absl::Milliseconds(200);
constexpr absl::Duration kPlainProgressEvery = absl::Seconds(10);
constexpr int kPlainColumns = 120;
// On more nodes than this Puppet's notices are not shown while they come.
constexpr size_t kNewsNodesMax = 5;
// After the first ^C the watch stays so long for a second one, then it leaves.
constexpr absl::Duration kSecondInterruptWithin = absl::Seconds(2);
// How long a job whose taking was cut off is asked for again, with the same idempotency key.
constexpr absl::Duration kRetakeFor = absl::Seconds(15);

// Follows one job; owns the live line.
class Follower {
 public:
  // `again` takes (with `takes`) or watches the job anew while nothing of it is known yet.
  Follower(Session& session, Connection& connection, Tolerance tolerance, bool takes, bool detach,
           std::function<std::unique_ptr<JobStream>()> again)
      : session_(session),
        terminal_(session.terminal),
        connection_(connection),
        tolerance_(tolerance),
        takes_(takes),
        detach_(detach),
        rejoin_(session, connection),
        again_(std::move(again)),
        output_(OutputOf(session.options)),
        live_(session.terminal.err),
        start_(base::SystemClock().Read().steady) {}

  // After Follow: the job was refused only because nobody has confirmed that so many nodes are
  // meant, and somebody may be asked.
  std::optional<uint32_t> to_confirm() const { return to_confirm_; }

  int Follow() {
    const InterruptCounter interrupts;
    std::unique_ptr<JobStream> stream = again_();
    for (;;) {
      orch::v1::WatchJobResponse batch;
      const JobStream::Got got = stream->Next(kTick, &batch);
      if (interrupts.count() > 0 && !OnInterrupt(interrupts.count())) return left_with_;
      if (Elapsed() >= detach_at_ && !tally_.finished()) return kExitInterrupted;
      if (got == JobStream::Got::kMessage) {
        rejoin_.OnMessage();
        Take(batch);
        if (detach_ && Taken()) return Detach();
      } else if (got == JobStream::Got::kEnd) {
        if (tally_.finished() || session_.options.dry_run) return Finish(stream->status());
        if (!MayRejoin(stream->status())) return Finish(stream->status());
        stream = JoinAgain();
      }
      ShowProgress();
    }
  }

 private:
  absl::Duration Elapsed() const { return base::SystemClock().Read().steady - start_; }

  bool Taken() const { return takes_ && !tally_.job().name().empty() && !session_.options.dry_run; }

  int Detach() {
    if (output_ == Output::kJson || output_ == Output::kJsonl || output_ == Output::kYaml) {
      terminal_.out << Serialized(tally_.job(), output_) << std::flush;
    } else {
      terminal_.out << tally_.job().name() << std::endl;
    }
    return kExitOk;
  }

  // Whether each node is shown by itself, or at the end those that fared alike together.
  bool NodeByNode() const {
    return cli::NodeByNode(session_.options, tally_.job(), tally_.nodes().size());
  }
  bool IsTable() const { return output_ == Output::kTable || output_ == Output::kWide; }
  ChangeLook Look() const { return LookFor(terminal_, output_, session_.options.verbose); }

  void Take(const orch::v1::WatchJobResponse& batch) {
    const uint64_t known = tally_.last_sequence();
    if (batch.has_job() && tally_.job().name().empty() && batch.job().mutating() &&
        !session_.options.quiet && !session_.options.dry_run && !detach_) {
      ClearLive();
      terminal_.err << batch.job().name() << ": "
                    << Safe(api::ActionWords(batch.job().spec().action())) << " on "
                    << batch.job().targets() << (batch.job().targets() == 1 ? " node" : " nodes")
                    << std::endl;
    }
    tally_.Apply(batch);
    for (const orch::v1::JobEvent& event : batch.events()) {
      if (event.sequence() <= known) continue;
      if (output_ == Output::kJsonl) {
        terminal_.out << Serialized(event, Output::kJsonl) << std::flush;
      } else if (IsTable() && !detach_) {
        Show(event);
      }
    }
  }

  void Show(const orch::v1::JobEvent& event) {
    if (event.has_progress()) {
      ShowNews(event.progress());
    } else if (event.has_node() && IsTerminal(event.node().state())) {
      // With --sort-by all of them are shown at the end.
      if (!session_.options.sort_by.empty() || !NodeByNode()) return;
      ClearLive();
      ShowNode(event.node());
    }
  }

  void ShowNode(const JobNode& node) {
    if (session_.options.quiet && node.state() == orch::v1::NODE_STATE_SUCCEEDED) return;
    terminal_.out << FitLine(terminal_, Look().width, NodeLine(terminal_, node)) << "\n";
    for (const std::string& line : NodeDetails(terminal_, Look(), node)) {
      terminal_.out << line << "\n";
    }
    terminal_.out.flush();
  }

  // Whether a line of Puppet's log is shown while it comes: with -v what is wrong, and on a few
  // nodes what resources do, and what was asked for with --debug and --evaltrace. What changed and
  // what failed is in the result in any case.
  bool Wanted(const orch::v1::PuppetRunProgress& line, bool wrong) const {
    if (!NodeByNode() || session_.options.quiet || session_.options.no_progress) return false;
    const orch::v1::PuppetRun& run = tally_.job().spec().action().puppet_run();
    const bool few = tally_.nodes().size() <= kNewsNodesMax;
    if (few && (run.debug() || (run.evaltrace() && line.level() == "info"))) return true;
    if (!session_.options.verbose) return false;
    return wrong || (few && line.level() == "notice" && line.source() != "Puppet");
  }

  void ShowNews(const orch::v1::JobNodeProgress& news) {
    const auto& line = news.progress().puppet_run();
    const bool wrong =
        line.level() != "notice" && line.level() != "info" && line.level() != "debug";
    if (!Wanted(line, wrong)) return;
    ClearLive();
    terminal_.err << Paint(terminal_, Color::kDim,
                           absl::StrCat(
                               "  ", news.node(), ": ",
                               wrong ? absl::StrCat(Safe(line.level()), ": ") : "",
                               line.source().empty() ? "" : absl::StrCat(Safe(line.source()), ": "),
                               Safe(line.message())))
                  << "\n";
  }

  void ClearLive() {
    if (live_.shown()) live_.Clear(TerminalWidth(terminal_.width));
  }

  void ShowProgress() {
    if (session_.options.quiet || session_.options.no_progress || tally_.nodes().empty() ||
        tally_.finished() || seen_interrupts_ > 0)
      return;
    const absl::Duration elapsed = Elapsed();
    if (terminal_.err_is_tty) {
      if (elapsed < absl::Milliseconds(400)) return;
      const int width = TerminalWidth(terminal_.width);
      live_.Show(ProgressLine(terminal_, tally_, elapsed, width), width);
    } else if (elapsed - last_plain_ >= kPlainProgressEvery) {
      last_plain_ = elapsed;
      terminal_.err << ProgressLine(terminal_, tally_, elapsed, kPlainColumns) << std::endl;
    }
  }

  // False: the watch ends here.
  bool OnInterrupt(int count) {
    if (count == seen_interrupts_) return true;
    seen_interrupts_ = count;
    ClearLive();
    const std::string name = tally_.job().name();
    if (name.empty()) {
      if (takes_) SayNotKnown();
      return false;
    }
    if (count == 1) {
      terminal_.err << "\n"
                    << "Detached; " << name << " goes on. ^C again cancels it.\n"
                    << "Follow it: orchctl job watch " << name << "\nCancel it: orchctl job cancel "
                    << name << std::endl;
      detach_at_ = Elapsed() + kSecondInterruptWithin;
      return true;
    }
    orch::v1::CancelJobRequest request;
    request.set_name(name);
    request.set_reason("interrupted at the terminal");
    const auto response = connection_.Call(request);
    if (!response.ok()) {
      terminal_.err << "cancel " << name << ": " << Safe(response.status().message()) << std::endl;
      return false;
    }
    terminal_.err << name << " is cancelled: no further node starts, nodes that run finish"
                  << std::endl;
    left_with_ = kExitStopped;
    return false;
  }

  bool MayRejoin(const absl::Status& status) {
    const std::string& name = tally_.job().name();
    ClearLive();
    return rejoin_.May(status, !name.empty(), name.empty() ? kRetakeFor : kRejoinFor,
                       name.empty() ? "asking again for the same job"
                                    : absl::StrCat(name, " goes on, joining again"));
  }

  std::unique_ptr<JobStream> JoinAgain() {
    rejoin_.Await();
    if (tally_.job().name().empty()) return again_();
    orch::v1::WatchJobRequest request;
    request.set_name(tally_.job().name());
    request.set_after_sequence(tally_.last_sequence());
    return connection_.Watch(request);
  }

  void SayNotKnown() {
    terminal_.err
        << "it is not known whether the controller took the job: `orchctl job list` shows it"
        << std::endl;
  }

  // What is printed once, at the end.
  void ShowWhole() {
    orch::v1::JobReport report = tally_.Report();
    SortNodes(session_.options.sort_by, report.mutable_nodes());
    switch (output_) {
      case Output::kJson:
      case Output::kYaml:
        terminal_.out << Serialized(report, output_);
        break;
      case Output::kName:
        for (const JobNode& node : report.nodes()) {
          if (node.state() == orch::v1::NODE_STATE_SUCCEEDED) terminal_.out << node.node() << "\n";
        }
        break;
      case Output::kTable:
      case Output::kWide:
        if (!NodeByNode()) {
          ShowGroups(report);
        } else if (!session_.options.sort_by.empty()) {
          for (const JobNode& node : report.nodes()) ShowNode(node);
        }
        break;
      case Output::kJsonl:
        break;
    }
  }

  // Who may have been meant, where nobody was, or somebody who does not exist.
  std::vector<std::string> WhoElse() const {
    const orch::v1::JobSpec& spec = tally_.job().spec();
    if (tally_.nodes().empty()) return WhyNobody(connection_, spec.target(), spec.nodes());
    std::vector<std::string> strangers;
    for (const auto& [name, node] : tally_.nodes()) {
      if (node.state() == orch::v1::NODE_STATE_NO_RESPONSE && !node.has_last_seen()) {
        strangers.push_back(name);
      }
    }
    return NearNames(connection_, strangers);
  }

  void ShowGroups(const orch::v1::JobReport& report) {
    for (const std::string& line :
         GroupsLines(terminal_, Look(), report.nodes(), session_.options.quiet)) {
      terminal_.out << line << "\n";
    }
  }

  int Finish(const absl::Status& status) {
    ClearLive();
    if (tally_.job().name().empty() && MayAsk(session_)) to_confirm_ = CountToConfirm(status);
    if (to_confirm_.has_value()) return kExitUsage;
    if (!status.ok() && !tally_.finished()) {
      const int code = Fail(session_, status);
      if (takes_ && tally_.job().name().empty() && rejoin_.lost()) SayNotKnown();
      if (!tally_.job().name().empty() && !session_.options.dry_run) {
        terminal_.err << tally_.job().name() << " may go on: `orchctl job watch "
                      << tally_.job().name() << "`" << std::endl;
      }
      return code;
    }
    ShowWhole();
    terminal_.out.flush();
    if (!session_.options.quiet || IsTable()) {
      for (const std::string& line : Summary(terminal_, tally_, Elapsed()))
        terminal_.err << line << "\n";
      if (!session_.options.quiet) {
        for (const std::string& line : WhoElse()) terminal_.err << line << "\n";
      }
      const std::string next = IsTable() ? NextCommand(tally_) : "";
      if (!next.empty()) terminal_.err << "Next: " << next << "\n";
      terminal_.err.flush();
    }
    return tally_.Exit(tolerance_);
  }

  Session& session_;
  Terminal& terminal_;
  Connection& connection_;
  const Tolerance tolerance_;
  const bool takes_;
  const bool detach_;
  Rejoin rejoin_;
  const std::function<std::unique_ptr<JobStream>()> again_;
  const Output output_;
  LiveLine live_;
  const absl::Duration start_;
  Tally tally_;
  absl::Duration last_plain_;
  int seen_interrupts_ = 0;
  ExitCode left_with_ = kExitInterrupted;
  absl::Duration detach_at_ = absl::InfiniteDuration();
  std::optional<uint32_t> to_confirm_;
};

int ShowDryRun(Session& session, const orch::v1::CreateJobResponse& response) {
  Terminal& terminal = session.terminal;
  const Output output = OutputOf(session.options);
  if (output == Output::kJson || output == Output::kJsonl || output == Output::kYaml) {
    terminal.out << Serialized(response, output);
  } else {
    for (const std::string& node : response.nodes()) terminal.out << node << "\n";
    terminal.out.flush();
    for (const JobNode& node : response.others()) terminal.err << NodeLine(terminal, node) << "\n";
    terminal.err << "dry run: " << Safe(api::ActionWords(response.job().spec().action()))
                 << " would go to " << response.nodes_size()
                 << (response.nodes_size() == 1 ? " node" : " nodes");
    // As --expect-nodes counts: with those of which it is known already that they would not.
    if (response.others_size() > 0) {
      terminal.err << " of the " << response.nodes_size() + response.others_size() << " meant";
    }
    terminal.err << "; nothing was sent" << std::endl;
  }
  return response.nodes_size() == 0 ? kExitNothing : kExitOk;
}

}  // namespace

int RunAndFollow(Session& session, Connection& connection, orch::v1::JobSpec spec, bool detach) {
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  if (session.options.dry_run) {
    orch::v1::CreateJobRequest request;
    *request.mutable_spec() = std::move(spec);
    request.set_validate_only(true);
    const auto response = connection.Call(request);
    return response.ok() ? ShowDryRun(session, *response) : Fail(session, response.status());
  }
  orch::v1::RunJobRequest request;
  *request.mutable_spec() = std::move(spec);
  for (;;) {
    request.set_idempotency_key(session.options.idempotency_key.empty()
                                    ? base::NewUlid(absl::Now())
                                    : session.options.idempotency_key);
    Follower follower(session, connection, *tolerance, /*takes=*/true, detach,
                      [&] { return connection.Run(request); });
    const int code = follower.Follow();
    if (!follower.to_confirm().has_value()) return code;
    // What was typed before the question was there is no answer to it.
    tcflush(STDIN_FILENO, TCIFLUSH);
    if (!ConfirmCount(session.terminal, std::cin, Safe(api::ActionWords(request.spec().action())),
                      *follower.to_confirm())) {
      session.terminal.err << "not confirmed; nothing was sent" << std::endl;
      return kExitUsage;
    }
    request.mutable_spec()->set_expect_nodes(*follower.to_confirm());
  }
}

int WatchAndFollow(Session& session, Connection& connection, const std::string& job_name) {
  const absl::StatusOr<Tolerance> tolerance = Tolerance::Parse(session.options.tolerate);
  if (!tolerance.ok()) return Fail(session, tolerance.status());
  orch::v1::WatchJobRequest request;
  request.set_name(job_name);
  Follower follower(session, connection, *tolerance, /*takes=*/false, /*detach=*/false,
                    [&] { return connection.Watch(request); });
  return follower.Follow();
}

absl::StatusOr<std::unique_ptr<Connection>> Connect(const Session& session) {
  ORCH_ASSIGN_OR_RETURN(const Context context, ResolveContext(session.options));
  return Connection::Open(context);
}

}  // namespace orch::cli
