// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/facts.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/sha256.h"
#include "base/status.h"
#include "nodeagent/command.h"
#include "nodeagent/fact_files.h"
#include "nodeagent/node_calls.h"

namespace orch::nodeagent {
namespace {

using Json = nlohmann::json;

constexpr absl::Duration kIntervalDefault = absl::Minutes(30);
constexpr absl::Duration kIntervalLeast = absl::Seconds(10);
constexpr absl::Duration kFacterTimeoutDefault = absl::Seconds(60);
constexpr size_t kCacheMax = 4 << 20;
constexpr size_t kErrorTextMax = 500;

absl::Duration DurationOr(const google::protobuf::Duration& value, absl::Duration otherwise) {
  const absl::Duration duration = absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos());
  return duration > absl::ZeroDuration() ? duration : otherwise;
}

std::string FacterProgram(const FactsConfig& config) {
  if (config.facter() == "none") return "";
  if (!config.facter().empty()) return config.facter();
  for (const char* path : {"/opt/puppetlabs/bin/facter", "/usr/bin/facter"}) {
    if (access(path, X_OK) == 0) return path;
  }
  return "";
}

// What reading the sources needs and gives; wanders to the worker and back.
struct Reading {
  FactsConfig config;
  std::string classfile;
  std::string cache_path;
  absl::Time facter_time;
  // The last good JSON of each source: what stands in for one that fails. Those that are no more
  // are left out.
  std::map<std::string, std::string> good;
  // Goes in as they were, comes out as they are.
  std::vector<std::string> classes;
  // Comes out.
  Json facts;
  std::string text;
  std::string digest;
  std::map<std::string, std::string> errors;  // by source
};

size_t BytesMax(const FactsConfig& config) {
  return config.max_bytes() == 0 ? kFactsMax : std::min<size_t>(config.max_bytes(), kFactsMax);
}

void Merge(Reading* reading, const std::string& source, absl::StatusOr<Json> facts,
           std::map<std::string, std::string>* good) {
  const auto before = reading->good.find(source);
  if (!facts.ok()) {
    reading->errors[source] = std::string(facts.status().message());
    if (before == reading->good.end()) return;
    facts = Json::parse(before->second, nullptr, false);
  }
  if (!facts->is_object()) return;
  for (const auto& [name, value] : facts->items()) reading->facts[name] = value;
  (*good)[source] = facts->dump(-1, ' ', false, Json::error_handler_t::replace);
}

void ReadClassFiles(Reading* reading) {
  std::vector<std::string> files(reading->config.class_files().begin(),
                                 reading->config.class_files().end());
  if (!reading->classfile.empty()) files.push_back(reading->classfile);
  const std::vector<std::string> before = std::exchange(reading->classes, {});
  bool failed = false;
  for (const std::string& file : files) {
    absl::StatusOr<std::vector<std::string>> classes = ReadClasses(file);
    // Before its first run Puppet has written none.
    if (classes.status().code() == absl::StatusCode::kNotFound && file == reading->classfile) {
      continue;
    }
    if (!classes.ok()) {
      reading->errors[file] = std::string(classes.status().message());
      failed = true;
      continue;
    }
    reading->classes.insert(reading->classes.end(), classes->begin(), classes->end());
  }
  if (failed) reading->classes.insert(reading->classes.end(), before.begin(), before.end());
  std::vector<std::string>& all = reading->classes;
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  if (all.size() > kClassesMax) all.resize(kClassesMax);
}

void WriteCache(const Reading& reading) {
  const Json cache = {{"sources", reading.good},
                      {"facter_time_us", absl::ToUnixMicros(reading.facter_time)},
                      {"facts", reading.text},
                      {"classes", reading.classes},
                      {"digest", base::Hex(reading.digest)}};
  const absl::Status written = base::WriteFileAtomically(
      reading.cache_path, cache.dump(-1, ' ', false, Json::error_handler_t::replace), 0600);
  if (!written.ok()) base::LogWarning("facts are not kept", {{"why", written.message()}});
}

// On the worker.
void Read(Reading* reading) {
  const size_t max = BytesMax(reading->config);
  reading->facts = Json::object();
  std::map<std::string, std::string> good;
  // Facter's own are in place already: it ran before.
  if (const auto facter = reading->good.find("facter"); facter != reading->good.end()) {
    Merge(reading, "facter", Json::parse(facter->second, nullptr, false), &good);
  }
  for (const std::string& file : reading->config.files()) {
    Merge(reading, file, ReadFactsFile(file, max), &good);
  }
  for (const std::string& directory : reading->config.directories()) {
    const absl::StatusOr<std::vector<std::string>> files = FactFilesIn(directory);
    if (!files.ok()) reading->errors[directory] = std::string(files.status().message());
    if (!files.ok()) continue;
    for (const std::string& file : *files) Merge(reading, file, ReadFactsFile(file, max), &good);
  }
  reading->good = std::move(good);
  ReadClassFiles(reading);
  reading->text = reading->facts.dump(-1, ' ', false, Json::error_handler_t::replace);
  Json lasting = reading->facts;
  std::vector<std::string> changing(reading->config.volatile_facts().begin(),
                                    reading->config.volatile_facts().end());
  if (changing.empty()) changing = DefaultVolatileFacts();
  for (const std::string& fact : changing) RemoveFact(&lasting, fact);
  std::string digested = lasting.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const std::string& name : reading->classes) absl::StrAppend(&digested, "\n", name);
  reading->digest = base::Sha256(digested);
  if (reading->text.size() > max) {
    reading->errors["facts"] =
        absl::StrCat(reading->text.size(), " bytes of facts, more than ", max);
  }
  if (!reading->errors.contains("facts")) WriteCache(*reading);
}

}  // namespace

struct Facts::State : std::enable_shared_from_this<Facts::State> {
  explicit State(FactsParts p) : parts(std::move(p)), timer(parts.strand) {
    std::sort(parts.collectives.begin(), parts.collectives.end());
    interval = std::max(DurationOr(parts.config.interval(), kIntervalDefault), kIntervalLeast);
    next_in = interval;
  }

  void ReadCache();
  void Begin(bool with_facter);
  void OnFacter(absl::StatusOr<std::string> output);
  void OnPaths();
  void OnRead(Reading reading);
  bool SetErrors(const std::map<std::string, std::string>& now_failing);
  void Arm();

  FactsParts parts;
  absl::Duration interval;
  absl::Duration next_in;  // the next reading; the interval, but for the facts of before a restart
  base::asio::steady_timer timer;
  std::function<void()> on_change;
  bool busy = false;   // sources are being read
  bool again = false;  // asked for meanwhile
  std::shared_ptr<Command> facter;
  std::string facter_error;

  bool known = false;
  Json values;
  std::string text = "{}";
  std::vector<std::string> classes;
  std::vector<std::string> actions;
  std::string digest;
  absl::Time read_time = absl::InfinitePast();
  std::map<std::string, std::string> good;  // by source
  absl::Time facter_time = absl::InfinitePast();
  std::map<std::string, orch::v1::FactSourceError> errors;
};

void Facts::State::ReadCache() {
  const absl::StatusOr<std::string> content = base::ReadFile(parts.cache_path, kCacheMax);
  if (!content.ok()) return;
  try {
    const Json cache = Json::parse(*content);
    const std::string cached = cache.at("facts").get<std::string>();
    Json object = Json::parse(cached);
    if (!object.is_object() || cached.size() > BytesMax(parts.config)) return;
    cache.at("classes").get_to(classes);
    cache.at("sources").get_to(good);
    // Without facter there was never such a time; its number would come back as a date.
    const int64_t micros = cache.at("facter_time_us").get<int64_t>();
    facter_time = micros > 0 ? absl::FromUnixMicros(micros) : absl::InfinitePast();
    values = std::move(object);
    text = cached;
    digest = absl::HexStringToBytes(cache.at("digest").get<std::string>());
    read_time = facter_time;
    known = true;
  } catch (const std::exception& error) {
    base::LogWarning("kept facts are not used",
                     {{"file", parts.cache_path}, {"why", error.what()}});
  }
}

void Facts::State::Begin(bool with_facter) {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  const std::string program = FacterProgram(parts.config);
  if (program.empty() || !with_facter) return OnPaths();
  CommandSpec spec;
  spec.argv = {program, "--json"};
  spec.argv.insert(spec.argv.end(), parts.config.facter_arguments().begin(),
                   parts.config.facter_arguments().end());
  spec.timeout = DurationOr(parts.config.facter_timeout(), kFacterTimeoutDefault);
  spec.output_max = BytesMax(parts.config);
  facter = RunCommand(parts.strand, std::move(spec),
                      [weak = weak_from_this()](absl::StatusOr<std::string> output) {
                        if (const auto self = weak.lock()) self->OnFacter(std::move(output));
                      });
}

void Facts::State::OnFacter(absl::StatusOr<std::string> output) {
  const std::shared_ptr<Command> ended = std::exchange(facter, nullptr);
  if (output.ok()) {
    const absl::StatusOr<Json> parsed = ParseJsonFacts(*output);
    if (!parsed.ok() || !parsed->is_object()) {
      output = absl::InvalidArgumentError(absl::StrCat(
          "facter printed no facts: ", parsed.ok() ? "no JSON object" : parsed.status().message()));
    }
  }
  facter_error = output.ok() ? "" : std::string(output.status().message());
  if (output.ok()) {
    good["facter"] = *std::move(output);
    facter_time = parts.clock->Read().wall;
  }
  OnPaths();
}

void Facts::State::OnPaths() {
  parts.paths->Get(
      [weak = weak_from_this()](absl::StatusOr<std::shared_ptr<const PuppetPaths>> paths) {
        const auto self = weak.lock();
        if (self == nullptr) return;
        Reading reading;
        reading.config = self->parts.config;
        reading.classfile = paths.ok() ? (*paths)->classfile : "";
        reading.cache_path = self->parts.cache_path;
        reading.good = self->good;
        reading.classes = self->classes;
        reading.facter_time = self->facter_time;
        base::asio::post(self->parts.worker, [weak, strand = self->parts.strand,
                                              reading = std::move(reading)]() mutable {
          Read(&reading);
          base::asio::post(strand, [weak, reading = std::move(reading)]() mutable {
            if (const auto self = weak.lock()) self->OnRead(std::move(reading));
          });
        });
      });
}

bool Facts::State::SetErrors(const std::map<std::string, std::string>& now_failing) {
  bool changed = false;
  for (auto old = errors.begin(); old != errors.end();) {
    const bool gone = !now_failing.contains(old->first);
    changed |= gone;
    old = gone ? errors.erase(old) : std::next(old);
  }
  for (const auto& [source, message] : now_failing) {
    orch::v1::FactSourceError& error = errors[source];
    if (error.source().empty()) {
      changed = true;
      error.set_source(source);
      error.mutable_since()->set_seconds(absl::ToUnixSeconds(parts.clock->Read().wall));
      base::LogWarning("a fact source fails", {{"source", source}, {"why", message}});
    }
    // A text from outside; json's dump makes it valid UTF-8.
    const std::string quoted =
        Json(message.substr(0, kErrorTextMax)).dump(-1, ' ', false, Json::error_handler_t::replace);
    error.set_message(Json::parse(quoted).get<std::string>());
  }
  return changed;
}

void Facts::State::OnRead(Reading reading) {
  busy = false;
  if (!facter_error.empty()) reading.errors["facter"] = facter_error;
  bool changed = SetErrors(reading.errors);
  // Too many facts are not taken: the last good set stays.
  if (!reading.errors.contains("facts")) {
    changed |= !known || digest != reading.digest;
    known = true;
    values = std::move(reading.facts);
    good = std::move(reading.good);
    text = std::move(reading.text);
    classes = std::move(reading.classes);
    digest = std::move(reading.digest);
    read_time = parts.clock->Read().wall;
  }
  if (changed && on_change) on_change();
  if (std::exchange(again, false)) return Begin(/*with_facter=*/true);
  Arm();
}

void Facts::State::Arm() {
  timer.expires_after(absl::ToChronoNanoseconds(std::exchange(next_in, interval)));
  timer.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (!error && self != nullptr) self->Begin(/*with_facter=*/true);
  });
}

Facts::Facts(FactsParts parts) : state_(std::make_shared<State>(std::move(parts))) {
  state_->ReadCache();
}

Facts::~Facts() { state_->timer.cancel(); }

void Facts::Start(std::function<void()> on_change) {
  state_->on_change = std::move(on_change);
  const absl::Time now = state_->parts.clock->Read().wall;
  const bool fresh = state_->facter_time <= now && now - state_->facter_time < state_->interval;
  if (fresh) state_->next_in = state_->interval - (now - state_->facter_time);
  state_->Begin(/*with_facter=*/!fresh);
}

void Facts::Refresh() {
  state_->timer.cancel();
  state_->Begin(/*with_facter=*/true);
}

void Facts::SetActions(std::vector<std::string> actions) {
  state_->actions = std::move(actions);
  std::sort(state_->actions.begin(), state_->actions.end());
}

absl::string_view Facts::identity() const { return state_->parts.identity; }
const Json* Facts::facts() const { return state_->known ? &state_->values : nullptr; }
const std::vector<std::string>* Facts::classes() const {
  return state_->known ? &state_->classes : nullptr;
}
const std::vector<std::string>* Facts::actions() const { return &state_->actions; }
const std::vector<std::string>& Facts::collectives() const { return state_->parts.collectives; }

absl::StatusOr<Json> Facts::Answer(const target::Call& call) const {
  const absl::Time now = state_->parts.clock->Read().wall;
  if (call.name == "fstat") {
    const auto& allowed = state_->parts.config.fstat_paths();
    return AnswerFstat({allowed.begin(), allowed.end()}, call.argument, call.field, now);
  }
  const std::shared_ptr<const PuppetPaths> paths = state_->parts.paths->Known();
  if (call.name == "puppet") return AnswerPuppet(paths.get(), call.field, now);
  if (call.name == "resource") {
    return AnswerResource(paths.get(), call.argument, call.field, now);
  }
  return absl::NotFoundError(absl::StrCat("this node does not know ", call.name, "()"));
}

const std::string& Facts::json() const { return state_->text; }
const std::string& Facts::digest() const { return state_->digest; }
absl::Time Facts::read_time() const { return state_->read_time; }

std::vector<orch::v1::FactSourceError> Facts::errors() const {
  std::vector<orch::v1::FactSourceError> errors;
  for (const auto& [source, error] : state_->errors) errors.push_back(error);
  return errors;
}

}  // namespace orch::nodeagent
