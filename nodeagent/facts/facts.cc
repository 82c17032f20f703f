// SPDX-License-Identifier: Apache-2.0

// Nothing here waits: looks, parsing, merging and writing the cache are errands, programs are
// commands, and each brings its result back to the strand. That makes the order of events the
// problem, and these rules solve it: one look per source at a time, later ones are remembered and
// not queued (the most demanding reason wins); one merge at a time, and none while a look that is
// not late is under way; after construction facts() changes only in OnMerged. Callbacks hold the
// state weakly, because an errand that hangs may outlive Facts. Before every source has answered
// once nothing is published, unless the cache of the last run stands in: half of the facts would
// match the wrong targets.

#include "nodeagent/facts/facts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/log.h"
#include "nodeagent/facts/facts_state.h"
#include "nodeagent/facts/node_calls.h"
#include "target/fact_formats.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

const std::string kNoFacts = "{}";

}  // namespace

Facts::State::State(FactsParts p)
    : parts(std::move(p)),
      board(parts.config),
      errands(parts.strand),
      watch(parts.strand),
      timer(parts.strand),
      looking(board.size()) {
  std::sort(parts.collectives.begin(), parts.collectives.end());
}

void Facts::State::ReadCache() {
  if (parts.cache_path.empty()) return;
  const absl::StatusOr<std::string> cache = base::ReadFile(parts.cache_path, kCacheMax);
  if (absl::IsNotFound(cache.status())) return;
  if (!cache.ok() || !board.FromCache(*cache, parts.clock->Read())) {
    base::LogWarning("kept facts are not used", {{"file", parts.cache_path},
                                                 {"why", cache.ok() ? "not written by this version"
                                                                    : cache.status().message()}});
    return;
  }
  const MergeOrder order = board.NextMerge();
  now = Merge(order);
  board.OnMerged(order, now, parts.clock->Read());
  known = board.read_time() > absl::InfinitePast();
}

// Puppet may take seconds to say where its classes are; the facts need not wait for it, but their
// first publication does, or nodes would not match by class for that long.
void Facts::State::AskForClassfile() {
  classfile_due = absl::InfiniteDuration();
  parts.paths->Get(
      [weak = weak_from_this()](absl::StatusOr<std::shared_ptr<const PuppetPaths>> paths) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        self->classfile_known = true;
        const base::Now now = self->parts.clock->Read();
        if (paths.ok()) {
          self->board.SetClassfile((*paths)->classfile);
          self->board.SetOther(kClassesSource, "", now);
        } else {
          // A node may do without Puppet.
          const bool expected = !PuppetProgram(self->parts.paths->config()).empty();
          self->classfile_due = now.steady + kClassfileRetry;
          self->board.OnNoClassfile(std::string(paths.status().message()), expected, now);
        }
        self->StartLook(self->board.size() - 1, LookReason::kChange);
      });
}

void Facts::State::LookAtAll(LookReason reason) {
  for (size_t source = 0; source < board.size(); source++) {
    const SourceKind kind = board.plan(source).kind;
    if (kind == SourceKind::kClasses && !classfile_known) continue;
    if (kind == SourceKind::kProgram && reason == LookReason::kChange && board.looked(source)) {
      continue;
    }
    StartLook(source, reason);
  }
}

void Facts::State::StartLook(size_t source, LookReason reason) {
  Looking& mine = looking[source];
  if (mine.under_way) {
    mine.again = true;
    mine.again_reason = std::max(mine.again_reason, reason);
    return;
  }
  mine.under_way = true;
  LookOrder order = board.NextLook(source, reason, parts.clock->Read());
  order.inotify = watch.descriptor();
  const auto look = std::make_shared<Look>();
  const std::weak_ptr<State> weak = weak_from_this();
  errands.Post({[order = std::move(order), look] { *look = LookAt(order); },
                [weak, source, look, reason] {
                  if (const auto self = weak.lock()) self->OnLook(source, std::move(*look), reason);
                },
                [weak, source] {
                  const auto self = weak.lock();
                  if (self == nullptr) return;
                  self->looking[source].late = true;
                  self->board.OnLate(source, self->parts.clock->Read());
                  self->MergeIfChanged();
                  self->Notify();
                }});
}

void Facts::State::OnLook(size_t source, Look look, LookReason reason) {
  Looking& mine = looking[source];
  mine.under_way = mine.late = false;
  mine.watch_error = look.watch_error;
  const bool unsettled = !look.unsettled.empty();
  const base::Now now_read = parts.clock->Read();
  for (const std::string& name : board.OnLook(source, std::move(look), reason, now_read)) {
    Enqueue(source, name);
  }
  absl::Status watch_error = watch.status();
  for (const Looking& each : looking) {
    if (watch_error.ok()) watch_error = each.watch_error;
  }
  watch.SetPolling(!watch_error.ok());
  board.SetOther("watch",
                 watch_error.ok() ? ""
                                  : absl::StrCat(watch_error.message(),
                                                 ": files are looked at every second instead"),
                 now_read);
  if (std::none_of(looking.begin(), looking.end(), [](const Looking& l) { return l.under_way; })) {
    watch.Keep(board.watches());
  }
  if (std::exchange(mine.again, false)) {
    StartLook(source, std::exchange(mine.again_reason, LookReason::kChange));
  } else if (unsettled) {
    LookAgainSoon(source);
  }
  RunNext();
  MergeIfChanged();
  Notify();
  Arm();
}

void Facts::State::LookAgainSoon(size_t source) {
  const auto later = std::make_shared<base::asio::steady_timer>(parts.strand);
  later->expires_after(absl::ToChronoNanoseconds(kSettleLook));
  later->async_wait([later, weak = weak_from_this(), source](boost::system::error_code) {
    if (const auto self = weak.lock()) self->StartLook(source, LookReason::kChange);
  });
}

// ---- Programs. ----------------------------------------------------------------------------------

void Facts::State::Enqueue(size_t source, const std::string& name) {
  const Run run{source, name};
  if (std::find(waiting.begin(), waiting.end(), run) != waiting.end()) return;
  waiting.push_back(run);
  board.OnStart(source);
}

void Facts::State::RunNext() {
  for (auto next = waiting.begin(); next != waiting.end() && running.size() < kProgramsAtOnce;) {
    if (running.contains(*next)) {  // asked for again while it runs
      ++next;
      continue;
    }
    const Run run = *next;
    next = waiting.erase(next);
    const SourcePlan& plan = board.plan(run.first);
    CommandSpec spec;
    spec.argv = {board.ProgramPath(run.first, run.second)};
    if (spec.argv[0].empty()) {
      board.OnPrinted(run.first, run.second, absl::NotFoundError("gone"), parts.clock->Read());
      continue;
    }
    spec.argv.insert(spec.argv.end(), plan.arguments.begin(), plan.arguments.end());
    spec.timeout = plan.timeout;
    spec.also_good_exit = plan.also_good_exit;
    spec.output_max = FactBytesMax(parts.config);
    running[run] = RunCommand(parts.strand, std::move(spec),
                              [weak = weak_from_this(), run](absl::StatusOr<std::string> output) {
                                if (const auto self = weak.lock()) {
                                  self->OnPrinted(run.first, run.second, std::move(output));
                                }
                              });
  }
}

void Facts::State::OnPrinted(size_t source, const std::string& name,
                             absl::StatusOr<std::string> output) {
  const std::shared_ptr<Command> ended = std::move(running.at({source, name}));
  running.erase({source, name});
  const auto facts = std::make_shared<absl::StatusOr<std::string>>(std::move(output));
  const bool some = board.plan(source).also_good_exit != 0;
  const bool strict = board.plan(source).prints_json;
  const auto parse = [facts, some, strict] {
    if (!facts->ok()) return;
    absl::StatusOr<Json> parsed =
        strict ? target::ParseJsonFacts(**facts) : target::ParsePrintedFacts(**facts);
    if (some && parsed.ok() && parsed->empty()) parsed = absl::InvalidArgumentError("nothing");
    *facts = parsed.ok() ? absl::StatusOr<std::string>(OneLine(*parsed))
                         : absl::InvalidArgumentError(absl::StrCat("what it printed is no facts: ",
                                                                   parsed.status().message()));
  };
  errands.Post({parse,
                [weak = weak_from_this(), source, name, facts] {
                  const auto self = weak.lock();
                  if (self == nullptr) return;
                  self->board.OnPrinted(source, name, std::move(*facts), self->parts.clock->Read());
                  // When it ran last is kept, too.
                  if (self->known && !self->board.changed()) self->WriteCache();
                  self->MergeIfChanged();
                  self->Notify();
                  self->Arm();
                },
                nullptr});
  RunNext();
}

// ---- Merging. -----------------------------------------------------------------------------------

void Facts::State::MergeIfChanged() {
  complete = complete || (classfile_known && board.complete());
  // Half of the facts would be worse than none; after a restart those of before stand in.
  if (merging || !board.changed() || (!complete && !known)) return;
  const bool more_soon = std::any_of(looking.begin(), looking.end(),
                                     [](const Looking& l) { return l.under_way && !l.late; });
  if (more_soon) return;
  merging = true;
  const auto order = std::make_shared<const MergeOrder>(board.NextMerge());
  const auto merged = std::make_shared<Merged>();
  errands.Post({[order, merged] { *merged = Merge(*order); },
                [weak = weak_from_this(), order, merged] {
                  if (const auto self = weak.lock()) self->OnMerged(*order, std::move(*merged));
                },
                nullptr});
}

void Facts::State::OnMerged(const MergeOrder& order, Merged merged) {
  merging = false;
  board.OnMerged(order, merged, parts.clock->Read());
  const bool news = !known || now.digest != merged.digest;
  known = true;
  now = std::move(merged);
  WriteCache();
  if (news && on_change) {
    errors_told = board.errors_version();
    on_change();
  }
  Notify();
  MergeIfChanged();
}

void Facts::State::WriteCache() {
  if (parts.cache_path.empty()) return;
  if (writing) {
    write_again = true;
    return;
  }
  writing = true;
  const auto status = std::make_shared<absl::Status>();
  errands.Post({[path = parts.cache_path, text = board.ToCache(), status] {
                  *status = base::WriteFileAtomically(path, text, 0600);
                },
                [weak = weak_from_this(), status] {
                  const auto self = weak.lock();
                  if (self == nullptr) return;
                  self->writing = false;
                  if (!status->ok() && !self->cache_failed) {
                    base::LogWarning("facts are not kept", {{"why", status->message()}});
                  }
                  self->cache_failed = !status->ok();
                  if (std::exchange(self->write_again, false)) self->WriteCache();
                },
                nullptr});
}

// Sources began or ended to fail. Before the first facts there is nobody to be told.
void Facts::State::Notify() {
  if (!known || errors_told == board.errors_version()) return;
  errors_told = board.errors_version();
  if (complete) WriteCache();
  if (on_change) on_change();
}

void Facts::State::Arm() {
  absl::Duration next = classfile_due;
  for (size_t source = 0; source < board.size(); source++) {
    if (!looking[source].under_way) next = std::min(next, board.due(source));
  }
  if (next == absl::InfiniteDuration()) return;
  const absl::Duration in = next - parts.clock->Read().steady;
  timer.expires_after(absl::ToChronoNanoseconds(std::max(in, absl::Milliseconds(10))));
  timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->OnTimer();
  });
}

void Facts::State::OnTimer() {
  const absl::Duration steady = parts.clock->Read().steady;
  if (classfile_due <= steady) AskForClassfile();
  for (size_t source = 0; source < board.size(); source++) {
    if (board.due(source) > steady || looking[source].under_way) continue;
    if (board.plan(source).kind == SourceKind::kClasses) AskForClassfile();
    StartLook(source, LookReason::kTimer);
  }
  Arm();
}

// ---- What others see. ---------------------------------------------------------------------------

Facts::Facts(FactsParts parts) : state_(std::make_shared<State>(std::move(parts))) {
  state_->ReadCache();
}

Facts::~Facts() { state_->timer.cancel(); }

void Facts::Start(std::function<void()> on_change) {
  state_->on_change = std::move(on_change);
  state_->watch.Start([weak = std::weak_ptr<State>(state_)] {
    if (const auto self = weak.lock()) self->LookAtAll(LookReason::kChange);
  });
  state_->LookAtAll(LookReason::kChange);
  state_->AskForClassfile();
}

void Facts::Refresh() {
  state_->LookAtAll(LookReason::kAsked);
  state_->AskForClassfile();
}

void Facts::SetActions(std::vector<std::string> actions) {
  state_->actions = std::move(actions);
  std::sort(state_->actions.begin(), state_->actions.end());
}

absl::string_view Facts::identity() const { return state_->parts.identity; }
const Json* Facts::facts() const { return state_->known ? &state_->now.facts : nullptr; }
const std::vector<std::string>* Facts::classes() const {
  return state_->known ? &state_->now.classes : nullptr;
}
const std::vector<std::string>* Facts::actions() const { return &state_->actions; }
const std::vector<std::string>& Facts::collectives() const { return state_->parts.collectives; }

absl::StatusOr<Json> Facts::Answer(const target::Call& call) const {
  const absl::Time now = state_->parts.clock->Read().wall;
  if (call.name == "fstat") {
    const auto& allowed = state_->parts.config.fstat_paths();
    return state_->fstat.Answer({allowed.begin(), allowed.end()}, call.argument, call.field, now);
  }
  const std::shared_ptr<const PuppetPaths> paths = state_->parts.paths->Known();
  if (call.name == "puppet") return AnswerPuppet(paths.get(), call.field, now);
  if (call.name == "resource") {
    return AnswerResource(paths.get(), call.argument, call.field, now);
  }
  return absl::NotFoundError(absl::StrCat("this node does not know ", call.name, "()"));
}

const std::string& Facts::json() const { return state_->known ? state_->now.text : kNoFacts; }
const std::string& Facts::digest() const { return state_->now.digest; }
absl::Time Facts::read_time() const {
  return state_->known ? state_->board.read_time() : absl::InfinitePast();
}
std::vector<orch::v1::FactSourceError> Facts::errors() const { return state_->board.errors(); }
const std::map<std::string, std::string>& Facts::origins() const { return state_->now.names; }
bool Facts::settled() const {
  return state_->complete && !state_->merging && !state_->board.changed();
}

}  // namespace orch::nodeagent
