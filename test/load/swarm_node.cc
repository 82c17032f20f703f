// SPDX-License-Identifier: Apache-2.0
#include "test/load/swarm_node.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/sha256.h"

namespace orch::load {
namespace {

// The run that makes the changes of a set: one to five, one of them a file's content.
orch::v1::PuppetRunResult ChangesOf(int set, bool noop) {
  orch::v1::PuppetRunResult run;
  run.set_noop(noop);
  run.set_verdict(noop ? orch::v1::PUPPET_RUN_VERDICT_NOOP_PENDING
                       : orch::v1::PUPPET_RUN_VERDICT_CHANGED);
  const int count = set % 5 + 1;
  run.mutable_resources()->set_total(100);
  noop ? run.mutable_resources()->set_noop_pending(count)
       : run.mutable_resources()->set_changed(count);
  for (int i = 0; i < count; ++i) {
    orch::v1::ResourceChange* change = run.add_changes();
    change->set_resource(absl::StrCat("File[/etc/app", set, "/", i, ".conf]"));
    change->set_property("content");
    change->set_status(noop ? orch::v1::RESOURCE_CHANGE_STATUS_NOOP
                            : orch::v1::RESOURCE_CHANGE_STATUS_CHANGED);
    const std::string before = absl::BytesToHexString(base::Sha256(absl::StrCat(set, "-", i)));
    const std::string after = absl::BytesToHexString(base::Sha256(absl::StrCat(set, "+", i)));
    change->set_message(
        noop ? absl::StrCat("current_value '{sha256}", before, "', should be '{sha256}", after,
                            "' (noop)")
             : absl::StrCat("content changed '{sha256}", before, "' to '{sha256}", after, "'"));
  }
  orch::v1::ChangeSet* changes = run.mutable_change_set();
  changes->set_digest(base::Sha256(absl::StrCat("set ", set)));
  changes->set_values_digest(base::Sha256(absl::StrCat("values of set ", set)));
  changes->set_size(static_cast<uint32_t>(count));
  return run;
}

testing::SimNodeOptions OptionsOf(const SwarmShared& shared, int number,
                                  const std::string& identity) {
  static const char* const kRoles[] = {"web", "db", "cache", "worker"};
  static const char* const kCountries[] = {"de", "uk", "us"};
  testing::SimNodeOptions options;
  options.identity = identity;
  options.collectives = {shared.collective};
  options.facts =
      absl::StrCat("{\"role\":\"", kRoles[number % 4], "\",\"country\":\"", kCountries[number % 3],
                   "\",\"os\":{\"family\":\"", number % 2 == 0 ? "Debian" : "RedHat",
                   "\"},\"number\":", number, "}");
  options.classes = {absl::StrCat("role::", kRoles[number % 4]), "settings"};
  options.silent = number * 37 % 100 < shared.silent_percent;
  options.hold = true;
  if (number * 61 % 100 < shared.failed_percent) {
    options.outcome.set_state(orch::v1::NODE_STATE_FAILED);
    options.outcome.set_reason("failed");
    auto* run = options.outcome.mutable_result()->mutable_puppet_run();
    run->set_verdict(orch::v1::PUPPET_RUN_VERDICT_FAILED);
    static const char* const kPackages[] = {"nginx", "haproxy", "postgresql", "redis", "varnish"};
    const int cause = number % std::max(shared.failure_causes, 1);
    orch::v1::PuppetRunError* error = run->add_errors();
    error->set_message(absl::StrCat("Could not find package ", kPackages[cause % 5],
                                    cause < 5 ? "" : std::string(cause / 5, '-')));
    error->set_file("/etc/puppetlabs/code/environments/production/manifests/site.pp");
    error->set_line(12 + cause);
    error->set_resource(absl::StrCat("Package[", kPackages[cause % 5], "]"));
  } else if (shared.change_sets > 0) {
    options.run = ChangesOf(number % shared.change_sets, /*noop=*/false);
    options.noop_run = ChangesOf(number % shared.change_sets, /*noop=*/true);
  }
  return options;
}

}  // namespace

SwarmNode::SwarmNode(SwarmShared* shared, int number, std::string identity,
                     std::shared_ptr<trust::Credentials> credentials, bus::BusConfig config,
                     std::shared_ptr<bus::StreamFactory> streams)
    : shared_(shared),
      number_(number),
      identity_(std::move(identity)),
      credentials_(std::move(credentials)),
      client_(shared->strand, {std::move(config), credentials_, identity_, 1 << 20},
              std::move(streams)),
      node_({&client_, credentials_, shared->destinations}, OptionsOf(*shared, number, identity_)),
      run_(shared->strand),
      repeat_(shared->strand) {}

void SwarmNode::Start() {
  const auto take = [this](const bus::Delivery& delivery) { OnDelivery(delivery); };
  client_.Subscribe(shared_->destinations.Request(shared_->collective), take);
  client_.Subscribe(shared_->destinations.Node(shared_->collective, identity_), take);
  client_.Start([this](bool connected) {
    if (connected_ != connected) shared_->connected += connected ? 1 : -1;
    connected_ = connected;
    repeated_ = false;
    repeat_.cancel();
    if (connected) node_.SendPresence(true, false);
  });
}

const SwarmShared::Opened& SwarmNode::Open(const std::string& body) {
  const std::string key = base::Sha256(body);
  const auto found = shared_->opened.find(key);
  if (found != shared_->opened.end()) return found->second;
  if (shared_->opened.size() >= SwarmShared::kOpenedMax) shared_->opened.clear();
  SwarmShared::Opened& opened = shared_->opened[key];
  std::string payload;
  trust::Refusal refusal;
  const auto peer =
      credentials_->Open(trust::Domain::kRequest, body, absl::Now(), &payload, &refusal);
  auto request = std::make_shared<orch::bus::v1::Request>();
  if (!peer.ok() || peer->role != trust::Role::kController ||
      peer->common_name != shared_->controller || !request->ParseFromString(payload)) {
    return opened;
  }
  opened = {std::move(request), base::Sha256(payload)};
  return opened;
}

void SwarmNode::OnDelivery(const bus::Delivery& delivery) {
  ++shared_->deliveries;
  const SwarmShared::Opened opened = Open(delivery.body);
  if (opened.request == nullptr) {
    ++shared_->refused;
    return;
  }
  if (opened.request->has_beacon() && !std::exchange(repeated_, true)) {
    // As a node agent does, and spread as it spreads it.
    repeat_.expires_after(std::chrono::milliseconds(number_ * 37 % 100 * 100));
    repeat_.async_wait([this](boost::system::error_code error) {
      if (!error) node_.SendPresence(false, false);
    });
  }
  const int before = node_.started();
  node_.OnRequest(*opened.request, opened.digest);
  if (node_.started() == before) return;
  if (!running_) ++shared_->running;
  running_ = true;
  // Between half and one and a half times the average, by the node's number.
  run_.expires_after(absl::ToChronoNanoseconds(
      shared_->run_time * (0.5 + static_cast<double>(number_ * 37 % 101) / 100)));
  run_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    node_.Release();
    running_ = false;
    --shared_->running;
  });
}

}  // namespace orch::load
