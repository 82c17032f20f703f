// SPDX-License-Identifier: Apache-2.0

// Asking Puppet costs one or two seconds of Ruby, and requests must not wait for that on the
// strand: so an old answer, from the configuration or from disk, is gone on with wherever there is
// one, and a new one is asked for beside it when puppet.conf has changed. The answer on disk is
// bound to the program and the flags it came from, since an upgrade may move Puppet's files. Where
// the configuration names every path, Puppet is never asked at all.

#include "nodeagent/puppet/puppet_paths.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "base/config.h"
#include "base/ids.h"
#include "base/sha256.h"
#include "base/status.h"
#include "nodeagent/process/command.h"

namespace orch::nodeagent {
namespace {

constexpr absl::Duration kAskTimeout = absl::Seconds(60);
// After a failure Puppet is asked again only so much later.
constexpr absl::Duration kRetryAfter = absl::Seconds(30);
constexpr size_t kCacheMax = 64 << 10;
// How far ahead PuppetPathsFinder::Known looks at puppet.conf again.
constexpr absl::Duration kCheckInterval = absl::Seconds(1);
constexpr size_t kWaitersMax = 1000;

constexpr std::array<const char*, 9> kNames = {"config",
                                               "agent_disabled_lockfile",
                                               "agent_catalog_run_lockfile",
                                               "pidfile",
                                               "lastrunfile",
                                               "lastrunreport",
                                               "classfile",
                                               "resourcefile",
                                               "runtimeout"};

std::vector<std::string> Flags(const PuppetConfig& config) {
  std::vector<std::string> flags;
  const auto add = [&flags](const char* name, const std::string& value) {
    if (value.empty()) return;
    flags.push_back(name);
    flags.push_back(value);
  };
  add("--confdir", config.confdir());
  add("--codedir", config.codedir());
  add("--vardir", config.vardir());
  add("--rundir", config.rundir());
  add("--logdir", config.logdir());
  add("--publicdir", config.publicdir());
  add("--ssldir", config.ssldir());
  add("--modulepath", config.modulepath());
  return flags;
}

// What tells that a file is another one; empty if it isn't there. A package keeps the times of its
// files, but not when they were put here.
std::string Stamp(const std::string& path) {
  struct stat info;
  if (path.empty() || stat(path.c_str(), &info) != 0) return "";
  return absl::StrCat(info.st_mtim.tv_sec, ".", info.st_mtim.tv_nsec, "/", info.st_ctim.tv_sec, ".",
                      info.st_ctim.tv_nsec, "/", info.st_ino, "/", info.st_size);
}

// Files that change with Puppet itself: its defaults may be others then.
constexpr std::array<const char*, 3> kVersionFiles = {
    "/opt/puppetlabs/puppet/lib/ruby/vendor_ruby/puppet/version.rb",
    "/usr/lib/ruby/vendor_ruby/puppet/version.rb",
    "/usr/share/ruby/vendor_ruby/puppet/version.rb",
};

std::string ProgramStamp(const std::string& program) {
  std::string stamp = absl::StrCat(program, " ", Stamp(program));
  for (const char* file : kVersionFiles) absl::StrAppend(&stamp, "\n", Stamp(file));
  return base::HexSha256(stamp);
}

// `runtimeout` as Puppet prints it: seconds, perhaps with a unit (s, m, h, d, y).
absl::Duration ParsePuppetDuration(absl::string_view text) {
  int64_t unit_s = 1;
  if (!text.empty() && !absl::ascii_isdigit(text.back())) {
    switch (text.back()) {
      case 'm':
        unit_s = 60;
        break;
      case 'h':
        unit_s = 3600;
        break;
      case 'd':
        unit_s = 86400;
        break;
      case 'y':
        unit_s = 365 * 86400;
        break;
      default:
        break;
    }
    text.remove_suffix(1);
  }
  int64_t value = 0;
  if (!absl::SimpleAtoi(text, &value) || value < 0) return absl::ZeroDuration();
  return absl::Seconds(value) * unit_s;
}

// From what `puppet config print` said, or would have said: name to value.
PuppetPaths FromValues(const PuppetConfig& config, const nlohmann::json& values) {
  const auto pick = [&values](const std::string& override, const char* name) {
    return override.empty() ? values.value(name, "") : override;
  };
  PuppetPaths paths;
  paths.program = PuppetProgram(config);
  paths.flags = Flags(config);
  paths.config = values.value("config", "");
  paths.agent_disabled_lockfile = pick(config.agent_disabled_lockfile(), "agent_disabled_lockfile");
  paths.agent_catalog_run_lockfile =
      pick(config.agent_catalog_run_lockfile(), "agent_catalog_run_lockfile");
  paths.pidfile = pick(config.pidfile(), "pidfile");
  paths.lastrunfile = pick(config.lastrunfile(), "lastrunfile");
  paths.lastrunreport = pick(config.lastrunreport(), "lastrunreport");
  paths.classfile = pick(config.classfile(), "classfile");
  paths.resourcefile = pick(config.resourcefile(), "resourcefile");
  paths.runtimeout = config.has_runtimeout() ? absl::Seconds(config.runtimeout().seconds())
                                             : ParsePuppetDuration(values.value("runtimeout", ""));
  return paths;
}

// Lines `name = value`.
absl::StatusOr<nlohmann::json> ParsePrinted(const std::string& output) {
  nlohmann::json values = nlohmann::json::object();
  for (absl::string_view line : absl::StrSplit(output, '\n')) {
    const std::pair<absl::string_view, absl::string_view> both =
        absl::StrSplit(line, absl::MaxSplits('=', 1));
    const std::string name(absl::StripAsciiWhitespace(both.first));
    for (const char* known : kNames) {
      if (name == known) values[name] = std::string(absl::StripAsciiWhitespace(both.second));
    }
  }
  for (const char* name : kNames) {
    if (!values.contains(name)) {
      return absl::InternalError(absl::StrCat("puppet config print: no value for ", name));
    }
  }
  return values;
}

}  // namespace

struct PuppetPathsFinder::State : std::enable_shared_from_this<PuppetPathsFinder::State> {
  using Answer = absl::StatusOr<std::shared_ptr<const PuppetPaths>>;

  State(base::Strand s, const base::Clock* c, PuppetConfig configuration, std::string cache)
      : strand(std::move(s)),
        clock(c),
        config(std::move(configuration)),
        cache_path(std::move(cache)) {}

  std::string Key() const {
    return base::HexSha256(absl::StrCat(ProgramStamp(PuppetProgram(config)), "\n",
                                        absl::StrJoin(Flags(config), "\n")));
  }
  bool Complete() const {
    return !config.agent_disabled_lockfile().empty() &&
           !config.agent_catalog_run_lockfile().empty() && !config.pidfile().empty() &&
           !config.lastrunfile().empty() && !config.lastrunreport().empty() &&
           !config.classfile().empty() && !config.resourcefile().empty() && config.has_runtimeout();
  }
  void Take(const nlohmann::json& values, std::string key, std::string stamp) {
    known = std::make_shared<const PuppetPaths>(FromValues(config, values));
    key_known = std::move(key);
    config_stamp = std::move(stamp);
  }
  void ReadCache();
  bool Fresh();
  void Ask();
  void OnPrinted(const absl::StatusOr<std::string>& output);
  void Tell(const Answer& answer) {
    std::vector<std::function<void(Answer)>> told;
    told.swap(waiters);
    for (const std::function<void(Answer)>& waiter : told) waiter(answer);
  }

  const base::Strand strand;
  const base::Clock* const clock;
  const PuppetConfig config;
  const std::string cache_path;
  std::shared_ptr<const PuppetPaths> known;
  // What the answer rests on, as it was when `known` was asked for: the program with its flags, and
  // puppet.conf.
  std::string key_known;
  std::string config_stamp;
  absl::Duration checked = -absl::InfiniteDuration();
  bool fresh = false;
  std::shared_ptr<Command> command;  // while Puppet is asked
  std::string key_asked;
  absl::Status last_error;
  absl::Duration retry_at = -absl::InfiniteDuration();
  std::vector<std::function<void(Answer)>> waiters;
};

void PuppetPathsFinder::State::ReadCache() {
  if (Complete()) return Take(nlohmann::json::object(), Key(), "");
  const absl::StatusOr<std::string> text = base::ReadFile(cache_path, kCacheMax);
  if (!text.ok()) return;
  const nlohmann::json cache = nlohmann::json::parse(*text, nullptr, false);
  if (!cache.is_object() || cache.value("key", nlohmann::json()) != Key()) return;
  const nlohmann::json values = cache.value("values", nlohmann::json());
  const nlohmann::json stamp = cache.value("config_stamp", nlohmann::json());
  if (!values.is_object() || !stamp.is_string()) return;
  for (const char* name : kNames) {
    if (!values.contains(name) || !values[name].is_string()) return;
  }
  Take(values, Key(), stamp.get<std::string>());
}

bool PuppetPathsFinder::State::Fresh() {
  if (known == nullptr) return false;
  const absl::Duration now = clock->Read().steady;
  if (now - checked < kCheckInterval) return fresh;
  checked = now;
  const std::string key = Key();
  // Nothing is asked for; but the program may be at another place now.
  if (Complete() && key != key_known) Take(nlohmann::json::object(), key, "");
  fresh = key == key_known && (Complete() || Stamp(known->config) == config_stamp);
  return fresh;
}

void PuppetPathsFinder::State::Ask() {
  if (command != nullptr || clock->Read().steady < retry_at) return;
  CommandSpec spec;
  const std::string program = PuppetProgram(config);
  spec.argv = {program.empty() ? "/usr/bin/puppet" : program, "config", "print"};
  spec.argv.insert(spec.argv.end(), kNames.begin(), kNames.end());
  spec.argv.insert(spec.argv.end(), {"--section", "agent"});
  for (const std::string& flag : Flags(config)) spec.argv.push_back(flag);
  spec.timeout = kAskTimeout;
  key_asked = Key();
  // Held weakly by the command, which this holds.
  command = RunCommand(strand, std::move(spec),
                       [weak = weak_from_this()](absl::StatusOr<std::string> output) {
                         if (const std::shared_ptr<State> self = weak.lock()) {
                           self->OnPrinted(output);
                         }
                       });
}

void PuppetPathsFinder::State::OnPrinted(const absl::StatusOr<std::string>& output) {
  const std::shared_ptr<Command> ended = std::exchange(command, nullptr);
  const absl::StatusOr<nlohmann::json> values =
      output.ok() ? ParsePrinted(*output) : absl::StatusOr<nlohmann::json>(output.status());
  last_error = base::Annotate(values.status(), "find Puppet's settings");
  if (!values.ok()) {
    retry_at = clock->Read().steady + kRetryAfter;
    return Tell(last_error);
  }
  const std::string stamp = Stamp((*values)["config"].get<std::string>());
  Take(*values, key_asked, stamp);
  fresh = true;
  checked = clock->Read().steady;
  const nlohmann::json cache = {{"key", key_asked}, {"config_stamp", stamp}, {"values", *values}};
  // A cache that can't be written costs time at the next start, no more.
  base::WriteFileAtomically(cache_path, cache.dump(1), 0600).IgnoreError();
  Tell(known);
}

PuppetPathsFinder::PuppetPathsFinder(base::Strand strand, const base::Clock* clock,
                                     PuppetConfig config, std::string cache_path)
    : state_(std::make_shared<State>(std::move(strand), clock, std::move(config),
                                     std::move(cache_path))) {
  state_->ReadCache();
}

PuppetPathsFinder::~PuppetPathsFinder() = default;

std::shared_ptr<const PuppetPaths> PuppetPathsFinder::Known() {
  if (!state_->Fresh()) state_->Ask();
  return state_->known;
}

void PuppetPathsFinder::Get(
    std::function<void(absl::StatusOr<std::shared_ptr<const PuppetPaths>>)> done) {
  if (state_->Fresh()) return done(state_->known);
  state_->Ask();
  if (state_->command == nullptr) return done(state_->last_error);
  if (state_->waiters.size() >= kWaitersMax) {
    return done(absl::ResourceExhaustedError("find Puppet's settings: too many wait for them"));
  }
  state_->waiters.push_back(std::move(done));
}

const absl::Status& PuppetPathsFinder::last_error() const { return state_->last_error; }

const PuppetConfig& PuppetPathsFinder::config() const { return state_->config; }

std::string PuppetProgram(const PuppetConfig& config) {
  if (!config.program().empty()) return config.program();
  for (const char* path : {"/opt/puppetlabs/bin/puppet", "/usr/bin/puppet"}) {
    if (access(path, X_OK) == 0) return path;
  }
  return "";
}

}  // namespace orch::nodeagent
