// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/agent/ladder.h"

#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"

namespace orch::nodeagent {
namespace {

using orch::bus::v1::Request;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

void SetTime(google::protobuf::Timestamp* out, absl::Time time) {
  out->set_seconds(absl::ToUnixSeconds(time));
}

trust::Peer Controller() {
  trust::Peer peer;
  peer.common_name = "controller1";
  peer.role = trust::Role::kController;
  return peer;
}

Self Node() { return {"web1.example.net", {"main", "dmz"}, {"controller1", "controller2"}}; }

Request Ping() {
  Request request;
  request.set_protocol(1);
  request.set_collective("main");
  request.set_request_id(std::string(16, 'r'));
  request.set_job_id("01ARZ3NDEKTSV4RRFFQ69G5FAV");
  SetTime(request.mutable_issue_time(), kNow);
  SetTime(request.mutable_expire_time(), kNow + absl::Seconds(60));
  request.set_controller("controller1");
  request.set_caller("cert=operator");
  request.set_default_allow(true);
  request.mutable_action()->mutable_action()->mutable_node_ping();
  return request;
}

Request PuppetRun() {
  Request request = Ping();
  request.mutable_action()->mutable_action()->mutable_puppet_run();
  request.add_nodes("web1.example.net");
  return request;
}

// How a payload fares in the strict parse: `passed`, or rung and reason.
std::string Parse(const std::string& payload, const trust::Peer& signer = Controller()) {
  Request request;
  const auto stop = ParseStrictly(payload, signer, &request);
  return stop ? absl::StrCat(RungName(stop->rung), ": ", stop->why) : "passed";
}
std::string Parse(const Request& request) { return Parse(request.SerializeAsString()); }

target::NodeData Facts() {
  target::NodeData node;
  node.identity_value = "web1.example.net";
  node.facts_value = {{"role", "web"}, {"os", {{"family", "Debian"}}}};
  node.classes_value = {"nginx"};
  return node;
}

TEST(Rungs, HaveNamesOfTheirOwn) {
  std::set<std::string> names;
  for (size_t i = 0; i < kRungs; ++i) names.insert(std::string(RungName(static_cast<Rung>(i))));
  EXPECT_EQ(names.size(), kRungs);
  EXPECT_FALSE(names.contains("unknown"));
}

TEST(Rungs, AreSilentUntilTheSignatureHeld) {
  for (const Rung rung : {Rung::kSize, Rung::kEnvelope, Rung::kUnknownKey, Rung::kChain,
                          Rung::kRevoked, Rung::kRole, Rung::kSignature, Rung::kController,
                          Rung::kCollective, Rung::kNotNamed, Rung::kReplayed, Rung::kNotMatched}) {
    EXPECT_FALSE(IsAnswered(rung)) << RungName(rung);
  }
  for (const Rung rung :
       {Rung::kUnsupported, Rung::kInvalid, Rung::kFuture, Rung::kExpired, Rung::kLifetime,
        Rung::kClock, Rung::kReplayWindow, Rung::kJournal, Rung::kDenied, Rung::kCapacity}) {
    EXPECT_TRUE(IsAnswered(rung)) << RungName(rung);
  }
}

TEST(Rungs, ReasonsAreTheOutcomesWords) {
  EXPECT_EQ(ReasonOf(Rung::kExpired), "expired");
  EXPECT_EQ(ReasonOf(Rung::kCapacity), "busy");
  EXPECT_EQ(ReasonOf(Rung::kReplayWindow), "busy");
  EXPECT_EQ(ReasonOf(Rung::kLifetime), "invalid");
  EXPECT_EQ(RungOf(trust::Refusal::kRevoked), Rung::kRevoked);
  EXPECT_EQ(RungOf(trust::Refusal::kTooLarge), Rung::kSize);
}

TEST(Signer, MustBeAController) {
  trust::Peer peer = Controller();
  EXPECT_FALSE(CheckSigner(peer, Node()));
  peer.role = trust::Role::kNode;
  EXPECT_EQ(CheckSigner(peer, Node())->rung, Rung::kRole);
  peer.role = trust::Role::kUser;
  EXPECT_EQ(CheckSigner(peer, Node())->rung, Rung::kRole);
}

TEST(Signer, MustBeListedByExactName) {
  trust::Peer peer = Controller();
  for (const std::string name : {"controller3", "controller", "controller11", "CONTROLLER1", ""}) {
    peer.common_name = name;
    EXPECT_EQ(CheckSigner(peer, Node())->rung, Rung::kController) << name;
  }
}

TEST(Parse, TakesWhatIsWhole) {
  EXPECT_EQ(Parse(Ping()), "passed");
  EXPECT_EQ(Parse(PuppetRun()), "passed");
}

TEST(Parse, RefusesTrailingBytes) {
  const std::string good = Ping().SerializeAsString();
  EXPECT_EQ(Parse(good + std::string(1, '\0')), "invalid: the signed bytes are not a request");
  EXPECT_EQ(Parse(good + "\x08\x01"), "invalid: bytes that say nothing");  // protocol twice
  EXPECT_EQ(Parse(good.substr(0, good.size() - 1)), "invalid: the signed bytes are not a request");
  EXPECT_EQ(Parse(""), "controller: signed by controller1, in the name of ");
}

TEST(Parse, RefusesUnknownFieldsAndValues) {
  Request request = PuppetRun();
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(900, 1);
  EXPECT_EQ(Parse(request).rfind("invalid: unknown field 900", 0), 0u) << Parse(request);
  request = PuppetRun();
  auto* run = request.mutable_action()->mutable_action()->mutable_puppet_run();
  run->GetReflection()->MutableUnknownFields(run)->AddVarint(901, 1);
  EXPECT_EQ(Parse(request).rfind("invalid: unknown field 901", 0), 0u) << Parse(request);
}

TEST(Parse, NamesANewerProtocol) {
  Request request = PuppetRun();
  request.set_protocol(2);
  request.GetReflection()->MutableUnknownFields(&request)->AddVarint(900, 1);
  EXPECT_EQ(Parse(request), "unsupported: protocol 2; this node speaks 1");
  request.set_protocol(0);
  EXPECT_EQ(Parse(request), "invalid: no protocol number");
}

TEST(Parse, RefusesAnotherControllersName) {
  Request request = Ping();
  request.set_controller("controller2");
  EXPECT_EQ(Parse(request), "controller: signed by controller1, in the name of controller2");
}

// One field of Ping or Run spoiled at a time.
struct Spoiled {
  const char* expected;
  void (*spoil)(Request*);
};
class SpoiledRequests : public testing::TestWithParam<Spoiled> {};

TEST_P(SpoiledRequests, AreInvalid) {
  Request request = Ping();
  GetParam().spoil(&request);
  EXPECT_EQ(Parse(request).rfind(absl::StrCat("invalid: ", GetParam().expected), 0), 0u)
      << Parse(request);
}

const Spoiled kSpoiled[] = {
    {"request_id", [](Request* r) { r->set_request_id("short"); }},
    {"request_id", [](Request* r) { r->set_request_id(std::string(17, 'r')); }},
    {"collective", [](Request* r) { r->set_collective("Main"); }},
    {"collective", [](Request* r) { r->set_collective("a.b"); }},
    {"job_id", [](Request* r) { r->set_job_id("../../etc"); }},
    {"issue_time", [](Request* r) { r->clear_issue_time(); }},
    {"issue_time", [](Request* r) { r->clear_expire_time(); }},
    {"issue_time", [](Request* r) { r->mutable_expire_time()->set_seconds(INT64_MAX); }},
    {"issue_time", [](Request* r) { r->mutable_issue_time()->set_seconds(INT64_MIN); }},
    {"issue_time", [](Request* r) { r->mutable_issue_time()->set_nanos(-1); }},
    {"issue_time", [](Request* r) { r->mutable_issue_time()->set_nanos(1'000'000'000); }},
    {"names more than",
     [](Request* r) {
       for (int i = 0; i <= kNodesMax; ++i) r->add_nodes(absl::StrCat("n", i));
     }},
    {"more than",
     [](Request* r) {
       for (int i = 0; i <= kConditionsMax; ++i) r->add_conditions();
     }},
    {"traceparent", [](Request* r) { r->set_traceparent(std::string(kTraceparentMax + 1, '0')); }},
    {"caller", [](Request* r) { r->clear_caller(); }},
    {"caller", [](Request* r) { r->set_caller("operator"); }},
    {"target: ", [](Request* r) { r->mutable_target()->add_select("role=web and"); }},
    {"no kind", [](Request* r) { r->clear_kind(); }},
    {"action: no action", [](Request* r) { r->mutable_action()->clear_action(); }},
    {"discover", [](Request* r) { r->mutable_discover(); }},
    {"cancel", [](Request* r) { r->mutable_cancel()->set_job_id("x"); }},
    {"result query", [](Request* r) { r->mutable_result_query()->add_request_ids("short"); }},
    {"result query",
     [](Request* r) {
       for (int i = 0; i <= kResultQueryMax; ++i) {
         r->mutable_result_query()->add_request_ids(std::string(16, 'q'));
       }
     }},
    {"a mutating action that names no nodes",
     [](Request* r) { r->mutable_action()->mutable_action()->mutable_puppet_run(); }},
    {"",
     [](Request* r) {
       r->add_nodes("web1.example.net");
       auto* run = r->mutable_action()->mutable_action()->mutable_puppet_run();
       run->set_environment("--server=evil");
     }},
};
INSTANTIATE_TEST_SUITE_P(Ladder, SpoiledRequests, testing::ValuesIn(kSpoiled));

TEST(Meant, NeedsOneCollectiveThroughout) {
  Request request = Ping();
  EXPECT_FALSE(CheckMeant(request, "main", Node()));
  EXPECT_EQ(CheckMeant(request, "dmz", Node())->rung, Rung::kCollective);
  request.set_collective("dmz");
  EXPECT_FALSE(CheckMeant(request, "dmz", Node()));
  EXPECT_EQ(CheckMeant(request, "main", Node())->rung, Rung::kCollective);
  request.set_collective("lab");
  EXPECT_EQ(CheckMeant(request, "lab", Node())->rung, Rung::kCollective);
  request = Ping();
  request.mutable_target()->set_collective("dmz");
  EXPECT_EQ(CheckMeant(request, "main", Node())->rung, Rung::kCollective);
}

TEST(Meant, NeedsMyNameWhereNamesAre) {
  Request request = Ping();
  request.add_nodes("web2.example.net");
  EXPECT_EQ(CheckMeant(request, "main", Node())->rung, Rung::kNotNamed);
  request.add_nodes("web1.example.net");
  EXPECT_FALSE(CheckMeant(request, "main", Node()));
  EXPECT_FALSE(IsNamedAlone(request));
  EXPECT_TRUE(IsNamedAlone(PuppetRun()));
}

TEST(Window, HasExactEnds) {
  struct Case {
    absl::Duration issued, expires;  // from now
    std::optional<Rung> rung;
  };
  const Case cases[] = {
      {absl::ZeroDuration(), absl::Seconds(60), std::nullopt},
      {absl::Seconds(30), absl::Seconds(90), std::nullopt},
      {absl::Seconds(31), absl::Seconds(91), Rung::kFuture},
      {-absl::Seconds(60), absl::Seconds(1), std::nullopt},
      {-absl::Seconds(60), absl::ZeroDuration(), Rung::kExpired},
      {-absl::Seconds(60), -absl::Seconds(1), Rung::kExpired},
      {absl::ZeroDuration(), absl::Seconds(900), std::nullopt},
      {absl::ZeroDuration(), absl::Seconds(901), Rung::kLifetime},
      {-absl::Seconds(899), absl::Seconds(2), Rung::kLifetime},
      {absl::Seconds(10), -absl::Seconds(10), Rung::kExpired},
  };
  for (const Case& c : cases) {
    Request request = Ping();
    SetTime(request.mutable_issue_time(), kNow + c.issued);
    SetTime(request.mutable_expire_time(), kNow + c.expires);
    const auto stop = CheckTime(request, kNow);
    EXPECT_EQ(stop ? std::optional(stop->rung) : std::nullopt, c.rung)
        << c.issued << " " << c.expires;
  }
}

TEST(TargetRung, TakesOnlyTrue) {
  const target::NodeData node = Facts();
  Request request = Ping();
  EXPECT_FALSE(CheckTarget(request, node));
  request.mutable_target()->add_facts("role=web");
  EXPECT_FALSE(CheckTarget(request, node));
  request.mutable_target()->add_classes("apache");
  EXPECT_EQ(CheckTarget(request, node)->rung, Rung::kNotMatched);
  request.mutable_target()->Clear();
  request.mutable_target()->add_select("puppet().enabled=true");  // NodeData can't answer it
  EXPECT_EQ(CheckTarget(request, node)->rung, Rung::kNotMatched);
}

TEST(TargetRung, NoCollectiveMeansTheRequests) {
  target::NodeData node = Facts();
  node.collectives_value = {"dmz"};
  Request request = Ping();
  request.set_collective("dmz");
  request.clear_target();
  EXPECT_FALSE(CheckTarget(request, node));
  request.set_collective("main");
  EXPECT_EQ(CheckTarget(request, node)->rung, Rung::kNotMatched);
}

void Add(Request* request, bool allow, const std::string& where) {
  auto* condition = request->add_conditions();
  condition->set_allow(allow);
  condition->set_where(where);
  condition->set_rule("policy.yaml:7");
}

TEST(Conditions, FirstThatHoldsDecides) {
  const target::NodeData node = Facts();
  Request request = Ping();
  EXPECT_FALSE(CheckConditions(request, nullptr, node));
  request.set_default_allow(false);
  EXPECT_EQ(CheckConditions(request, nullptr, node)->rung, Rung::kDenied);
  Add(&request, true, "role=web");
  EXPECT_FALSE(CheckConditions(request, nullptr, node));
  request.clear_conditions();
  Add(&request, false, "os.family=Debian");
  Add(&request, true, "role=web");
  const auto stop = CheckConditions(request, nullptr, node);
  ASSERT_TRUE(stop);
  EXPECT_NE(stop->why.find("policy.yaml:7"), std::string::npos) << stop->why;
}

TEST(Conditions, ThatCannotBeReadDeny) {
  Request request = Ping();
  Add(&request, false, "role = = web");
  EXPECT_EQ(CheckConditions(request, nullptr, Facts())->rung, Rung::kDenied);
}

TEST(Conditions, TheNodesOwnPolicyMustAllowToo) {
  const auto own = policy::Policy::ParseNative(
      "rules:\n- effect: allow\n  callers: [cert=operator]\n  actions: [node.ping]\n", "own.yaml");
  ASSERT_TRUE(own.ok()) << own.status();
  Request request = Ping();
  EXPECT_FALSE(CheckConditions(request, own->get(), Facts()));
  request.set_caller("cert=guest");
  EXPECT_EQ(CheckConditions(request, own->get(), Facts())->rung, Rung::kDenied);
  request = PuppetRun();
  const auto stop = CheckConditions(request, own->get(), Facts());
  ASSERT_TRUE(stop);
  EXPECT_EQ(stop->why.rfind("this node's own policy", 0), 0u) << stop->why;
}

TEST(Words, NameTheKind) {
  EXPECT_EQ(KindWords(PuppetRun()), "action puppet.run");
  Request request = Ping();
  request.mutable_beacon();
  EXPECT_EQ(KindWords(request), "beacon");
  EXPECT_TRUE(IsMutating(PuppetRun()));
  EXPECT_FALSE(IsMutating(Ping()));
  EXPECT_FALSE(IsMutating(request));
}

}  // namespace
}  // namespace orch::nodeagent
