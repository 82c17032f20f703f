// SPDX-License-Identifier: Apache-2.0

// A node must never look as if facts had vanished because a program hung or a file was half
// written: targets are matched against them, and policies too. So nothing is ever taken out of the
// facts because a source fails; a piece keeps its good text until a merge has taken a newer one, or
// until its file or program is gone. What is wrong is kept beside it: SetErrors() computes the
// failing sources anew from the state of all of them after each event, because an error that was
// set and cleared event by event would outlive its cause. The decisions about when to run and to
// look are made here, with `now` as an argument; Facts only carries it out.

#include "nodeagent/facts/fact_board.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/log.h"
#include "nodeagent/text/clean_text.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

constexpr size_t kErrorTextMax = 300;

constexpr char kReplaced[] = "\xef\xbf\xbd";  // U+FFFD, in place of bytes that are no UTF-8

// Dotted path of the first name or value with kReplaced in it; empty if there is none.
std::string FindReplaced(const Json& facts, const std::string& path) {
  if (facts.is_string()) {
    return facts.get_ref<const std::string&>().find(kReplaced) == std::string::npos ? "" : path;
  }
  if (!facts.is_structured()) return "";
  for (const auto& [key, value] : facts.items()) {
    const std::string inner = path.empty() ? key : absl::StrCat(path, ".", key);
    if (key.find(kReplaced) != std::string::npos) return inner;
    if (std::string found = FindReplaced(value, inner); !found.empty()) return found;
  }
  return "";
}

// Which fact is not as its source wrote it.
std::string DoubtOf(const std::string& text) {
  if (text.find(kReplaced) == std::string::npos) return "";
  return absl::StrCat(FindReplaced(Json::parse(text, nullptr, false), ""),
                      ": bytes that are not UTF-8 were replaced");
}

size_t BytesOf(const FactsText& text) { return text == nullptr ? 0 : text->size(); }

}  // namespace

FactBoard::FactBoard(const FactsConfig& config)
    : bytes_max_(FactBytesMax(config)),
      volatile_facts_(config.volatile_facts().begin(), config.volatile_facts().end()) {
  for (SourcePlan& plan : PlanSources(config)) sources_.emplace_back().plan = std::move(plan);
}

void FactBoard::SetClassfile(const std::string& path) {
  std::vector<std::string>& paths = sources_.back().plan.paths;
  classfile_told_ = true;
  if (path == classfile_) return;
  paths.erase(std::remove(paths.begin(), paths.end(), classfile_), paths.end());
  if (!path.empty()) paths.push_back(path);
  classfile_ = path;
}

void FactBoard::OnNoClassfile(const std::string& why, bool expected, base::Now now) {
  const Source& source = sources_.back();
  const bool told =
      expected || std::any_of(source.pieces.begin(), source.pieces.end(), [&](const auto& piece) {
        const std::vector<std::string>& paths = source.plan.paths;
        return piece.first == classfile_ ||
               std::find(paths.begin(), paths.end(), piece.first) == paths.end();
      });
  SetOther(kClassesSource, told ? why : "", now);
}

LookOrder FactBoard::NextLook(size_t source, LookReason reason, base::Now now) const {
  LookOrder order;
  order.plan = sources_[source].plan;
  order.bytes_max = bytes_max_;
  if (reason != LookReason::kAsked) order.seen = sources_[source].seen;
  for (const auto& [name, piece] : sources_[source].pieces) order.known.insert(name);
  for (const auto& [name, since] : sources_[source].unsettled) {
    if (now.steady - since >= kSettleMax) order.had_time.insert(name);
  }
  return order;
}

std::string FactBoard::NameOf(const Source& source, const std::string& piece) const {
  return piece.empty() ? source.plan.name : piece;
}

bool FactBoard::NeedsRun(const Source& source, const std::string& name,
                         const Look::Program& program, LookReason reason, base::Now now) const {
  const Piece& piece = source.pieces.at(name);
  if (reason == LookReason::kAsked || program.changed) return true;
  const absl::Duration age = now.wall - piece.time;
  const bool failed = !piece.error.empty() || failing_before_.contains(NameOf(source, name));
  // An earlier retry of one program is none of the others; what ended a while after it began is
  // younger than the interval.
  if (reason == LookReason::kTimer) {
    return failed || age < absl::ZeroDuration() || age >= source.plan.interval / 2;
  }
  if (source.looked) return !source.seen.contains(name);
  // After a restart, young facts of before will do.
  return failed || age < absl::ZeroDuration() || age >= source.plan.interval ||
         program.change_time > piece.time;
}

std::vector<std::string> FactBoard::ListRuns(Source* source, const Look& look, LookReason reason,
                                             base::Now now) {
  std::vector<std::string> run;
  absl::Duration due = now.steady + source->plan.interval;
  for (const auto& [name, program] : look.programs) {
    Piece& piece = source->pieces[name];
    piece.program = program.path;
    if (NeedsRun(*source, name, program, reason, now)) {
      run.push_back(name);
    } else if (!source->looked) {
      due = std::min(due, now.steady + source->plan.interval - (now.wall - piece.time));
    }
  }
  if (!source->looked || reason != LookReason::kChange) source->due = due;
  return run;
}

std::vector<std::string> FactBoard::OnLook(size_t index, Look look, LookReason reason,
                                           base::Now now) {
  Source& source = sources_[index];
  source.late = false;
  source.watches = std::move(look.watches);
  source.error = std::string(look.status.message());
  std::map<std::string, absl::Duration> unsettled;
  for (const std::string& name : look.unsettled) {
    const auto before = source.unsettled.find(name);
    unsettled[name] = before == source.unsettled.end() ? now.steady : before->second;
  }
  source.unsettled = std::move(unsettled);
  changed_ |= !source.looked;
  std::vector<std::string> run = ListRuns(&source, look, reason, now);
  source.looked = true;
  if (look.status.ok()) {
    // One that is not among the names may yet turn out to be Puppet's.
    const bool all_named = source.plan.kind != SourceKind::kClasses || classfile_told_;
    changed_ |= std::erase_if(source.pieces, [&](const auto& piece) {
                  return all_named && !look.names.contains(piece.first);
                }) > 0;
    source.seen = std::move(look.seen);
    for (auto& [name, read] : look.read) {
      // Before its first run Puppet has written none.
      if (name == classfile_ && absl::IsNotFound(read.status())) {
        changed_ |= source.pieces.erase(name) > 0;
      } else {
        // What found no room has not been seen: there may be some the next time.
        if (!TakeRead(NameOf(source, name), &source.pieces[name], std::move(read), now)) {
          source.seen.erase(name);
        }
      }
    }
  }
  SetErrors(now);
  return run;
}

void FactBoard::OnLate(size_t index, base::Now now) {
  sources_[index].late = true;
  SetErrors(now);
}

bool FactBoard::TakeRead(const std::string& name, Piece* piece, absl::StatusOr<std::string> read,
                         base::Now now) {
  const FactsText& before = piece->fresh != nullptr ? piece->fresh : piece->good;
  const bool same = read.ok() && before != nullptr && *before == *read;
  bool room = true;
  if (read.ok() && !same && HeldBytes() - BytesOf(piece->fresh) + read->size() > kFactsHeldMax) {
    room = false;
    read = absl::ResourceExhaustedError(
        absl::StrCat(read->size(), " bytes: all sources together hold more than ", kFactsHeldMax));
  }
  if (!read.ok()) {
    piece->error = std::string(read.status().message());
    if (piece->error.empty()) piece->error = "fails";
    base::LogDebug("a fact source is not read", {{"source", name}, {"why", piece->error}});
    return room;
  }
  piece->error.clear();
  if (!same) piece->doubt = DoubtOf(*read);
  piece->time = read_time_ = now.wall;
  if (same) return true;
  piece->fresh = std::make_shared<const std::string>(*std::move(read));
  return changed_ = true;
}

void FactBoard::OnPrinted(size_t index, const std::string& name, absl::StatusOr<std::string> facts,
                          base::Now now) {
  Source& source = sources_[index];
  source.running--;
  const auto piece = source.pieces.find(name);
  if (piece == source.pieces.end()) return;  // its file is gone
  TakeRead(NameOf(source, name), &piece->second, std::move(facts), now);
  if (piece->second.error.empty()) {
    piece->second.failures = 0;
  } else {
    const absl::Duration wait = kFactsRetryMin * (1 << std::min(piece->second.failures++, 10));
    source.due = std::min(source.due, now.steady + std::min(wait, source.plan.interval));
  }
  SetErrors(now);
}

std::string FactBoard::ProgramPath(size_t source, const std::string& name) const {
  const auto piece = sources_[source].pieces.find(name);
  return piece == sources_[source].pieces.end() ? "" : piece->second.program;
}

bool FactBoard::complete() const {
  return std::all_of(sources_.begin(), sources_.end(), [](const Source& source) {
    return source.late || (source.looked && source.unsettled.empty() && source.running == 0);
  });
}

MergeOrder FactBoard::NextMerge() {
  changed_ = false;
  MergeOrder order;
  order.bytes_max = bytes_max_;
  order.volatile_facts = volatile_facts_;
  for (const Source& source : sources_) {
    for (const auto& [name, piece] : source.pieces) {
      order.pieces.push_back({static_cast<size_t>(&source - sources_.data()), name,
                              NameOf(source, name), source.plan.below, piece.fresh, piece.good,
                              source.plan.kind == SourceKind::kClasses});
    }
  }
  return order;
}

void FactBoard::OnMerged(const MergeOrder& order, const Merged& merged, base::Now now) {
  for (size_t i = 0; i < order.pieces.size(); i++) {
    std::map<std::string, Piece>& pieces = sources_[order.pieces[i].source].pieces;
    const auto found = pieces.find(order.pieces[i].key);
    if (found == pieces.end()) continue;  // gone meanwhile
    Piece& piece = found->second;
    // What was refused stays, for when there is room.
    if (merged.taken[i] != nullptr) piece.good = merged.taken[i];
    piece.refused = merged.refused[i];
    if (piece.fresh == piece.good) piece.fresh = nullptr;
  }
  SetErrors(now);
}

void FactBoard::SetOther(const std::string& name, const std::string& why, base::Now now) {
  if (why.empty()) {
    others_.erase(name);
  } else {
    others_[name] = why;
  }
  SetErrors(now);
}

std::set<int> FactBoard::watches() const {
  std::set<int> watches;
  for (const Source& source : sources_) {
    watches.insert(source.watches.begin(), source.watches.end());
  }
  return watches;
}

size_t FactBoard::HeldBytes() const {
  size_t bytes = 0;
  for (const Source& source : sources_) {
    for (const auto& [name, piece] : source.pieces) {
      bytes += BytesOf(piece.fresh) + (piece.fresh == piece.good ? 0 : BytesOf(piece.good));
    }
  }
  return bytes;
}

void FactBoard::SetErrors(base::Now now) {
  std::map<std::string, std::string> failing = others_;
  for (const Source& source : sources_) {
    if (!source.error.empty()) failing[source.plan.name] = source.error;
    if (source.late) {
      failing[source.plan.name] = "its files can't be read: no answer of the file system";
    }
    for (const auto& [name, piece] : source.pieces) {
      if (!piece.doubt.empty()) failing[NameOf(source, name)] = piece.doubt;
      if (!piece.refused.empty()) failing[NameOf(source, name)] = piece.refused;
      if (!piece.error.empty()) failing[NameOf(source, name)] = piece.error;
    }
  }
  std::erase_if(errors_, [&](const auto& error) {
    if (failing.contains(error.first)) return false;
    base::LogInfo("a fact source is well again", {{"source", error.first}});
    errors_version_++;
    return true;
  });
  for (const auto& [name, why] : failing) {
    orch::v1::FactSourceError& error = errors_[name];
    if (error.source().empty()) {
      errors_version_++;
      error.set_source(CleanText(name, kErrorTextMax));
      const auto before = failing_before_.find(name);
      error.mutable_since()->set_seconds(before == failing_before_.end()
                                             ? absl::ToUnixSeconds(now.wall)
                                             : before->second.since().seconds());
      base::LogWarning("a fact source fails", {{"source", name}, {"why", why}});
    }
    error.set_message(CleanText(why, kErrorTextMax));
  }
  if (!complete() || failing_before_.empty()) return;
  failing_before_.clear();
  errors_version_++;
}

std::map<std::string, orch::v1::FactSourceError> FactBoard::Failing() const {
  std::map<std::string, orch::v1::FactSourceError> all = errors_;
  all.insert(failing_before_.begin(), failing_before_.end());
  return all;
}

std::vector<orch::v1::FactSourceError> FactBoard::errors() const {
  std::vector<orch::v1::FactSourceError> errors;
  const std::map<std::string, orch::v1::FactSourceError> all = Failing();
  for (const auto& [name, error] : all) {
    if (errors.size() < kFactErrorsMax) {
      errors.push_back(error);
      continue;
    }
    orch::v1::FactSourceError& more = errors.emplace_back();
    more.set_source("more");
    more.set_message(absl::StrCat("and ", all.size() - kFactErrorsMax, " more sources fail"));
    *more.mutable_since() = error.since();
    break;
  }
  return errors;
}

// `{"facts_cache": 1, "failing": {…}, "sources": {source: {piece: {"time_us": …, "facts": …}}}}`;
// written as text, because the facts are text already.
std::string FactBoard::ToCache() const {
  Json failing = Json::object();
  for (const auto& [name, error] : Failing()) {
    failing[name] = {{"since", error.since().seconds()}, {"message", error.message()}};
  }
  std::string out =
      absl::StrCat("{\"facts_cache\":1,\"failing\":", OneLine(failing), ",\"sources\":{");
  const char* between = "";
  for (const Source& source : sources_) {
    absl::StrAppend(&out, between, OneLine(Json(source.plan.name)), ":{");
    between = ",\n";
    const char* inner = "";
    for (const auto& [name, piece] : source.pieces) {
      if (piece.good == nullptr) continue;
      absl::StrAppend(&out, inner, OneLine(Json(name)),
                      ":{\"time_us\":", absl::ToUnixMicros(piece.time), ",\"facts\":", *piece.good,
                      "}");
      inner = ",\n";
    }
    absl::StrAppend(&out, "}");
  }
  return absl::StrCat(out, "}}\n");
}

bool FactBoard::FromCache(const std::string& cache, base::Now now) {
  const Json parsed = Json::parse(cache, nullptr, false);
  if (!parsed.is_object() || parsed.value("facts_cache", Json()) != 1) return false;
  const Json& sources = parsed.value("sources", Json::object());
  if (!sources.is_object()) return false;
  for (Source& source : sources_) {
    const auto kept = sources.find(source.plan.name);
    if (kept == sources.end() || !kept->is_object()) continue;
    for (const auto& [name, value] : kept->items()) {
      if (!value.is_object() || !value.contains("facts") || !value.contains("time_us") ||
          !value["time_us"].is_number_integer()) {
        continue;
      }
      Piece& piece = source.pieces[name];
      piece.good = std::make_shared<const std::string>(OneLine(value["facts"]));
      piece.doubt = DoubtOf(*piece.good);
      piece.time = absl::FromUnixMicros(value["time_us"].get<int64_t>());
      if (piece.time <= now.wall) read_time_ = std::max(read_time_, piece.time);
    }
  }
  if (const auto failing = parsed.find("failing"); failing != parsed.end()) {
    for (const auto& [name, error] : failing->items()) {
      if (!error.is_object() || !error.contains("since") || !error.contains("message") ||
          !error["since"].is_number_integer() || !error["message"].is_string()) {
        continue;
      }
      orch::v1::FactSourceError& before = failing_before_[name];
      before.set_source(name);
      before.set_message(error["message"].get<std::string>());
      before.mutable_since()->set_seconds(error["since"].get<int64_t>());
    }
  }
  return true;
}

}  // namespace orch::nodeagent
