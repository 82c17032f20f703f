// SPDX-License-Identifier: Apache-2.0

// The list is written out verb by verb, and not computed from the rules of broker_rights, because
// it checks brokers whose rights somebody else configured: what a rule forgets is found only by a
// case that nobody derived from that rule. So beside the destinations of the bus there are the ways
// around their names: wildcards, lists of destinations, temporary queues, exchanges that RabbitMQ
// has by itself, and the flavour's own administrative destinations. Every case leaves the broker as
// it was: names that nobody has, messages that expire, queues that delete themselves.

#include "bus/check/check_cases.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bus/stomp/destination.h"

namespace orch::bus {
namespace {

constexpr CheckExpectation kAllowed = CHECK_EXPECTATION_ALLOWED;
constexpr CheckExpectation kRefused = CHECK_EXPECTATION_REFUSED;
constexpr CheckExpectation kGroup = CHECK_EXPECTATION_GROUP;
constexpr CheckRole kNode = CHECK_ROLE_NODE;
constexpr CheckRole kController = CHECK_ROLE_CONTROLLER;

constexpr char kActiveMqGroups[] = "ActiveMQ gives rights to groups, not to one of them";
constexpr char kCollectives[] =
    "signatures keep collectives apart; --other-collective asks the same of the broker";
constexpr char kQueueExpires[] = "60000";  // ms
constexpr char kDots[] =
    "a rule with {username} is a pattern, in which the name's dots match any character";

// Collects the cases of one role.
class Cases {
 public:
  Cases(CheckRole role, const CheckNames& names) : role_(role), names_(names) {
    at_.flavour = names.flavour;
    at_.prefix = names.prefix;
    outside_ = at_;
    outside_.prefix += "x";
  }

  CheckCase& Connect(std::string what, CheckExpectation expected) {
    return Add(CHECK_VERB_CONNECT, "", std::move(what), expected);
  }
  CheckCase& Hear(std::string destination, std::string what, CheckExpectation expected,
                  std::optional<CheckWitness> sender = {}) {
    return Add(CHECK_VERB_SUBSCRIBE, std::move(destination), std::move(what), expected,
               std::move(sender));
  }
  CheckCase& Say(std::string destination, std::string what, CheckExpectation expected,
                 std::optional<CheckWitness> listener = {}) {
    return Add(CHECK_VERB_SEND, std::move(destination), std::move(what), expected,
               std::move(listener));
  }

  bool activemq() const { return names_.flavour == FLAVOUR_ACTIVEMQ; }
  bool rabbitmq() const { return names_.flavour == FLAVOUR_RABBITMQ; }
  const CheckNames& names() const { return names_; }
  const std::string& collective() const { return names_.collective; }
  std::string other_collective() const {
    return names_.other_collective.empty() ? kCheckOtherCollective : names_.other_collective;
  }
  const Destinations& at() const { return at_; }
  const Destinations& outside() const { return outside_; }
  std::string request() const { return at_.Request(collective()); }
  std::string node(absl::string_view of) const { return at_.Node(collective(), of); }
  std::string reply(absl::string_view of) const { return at_.Reply(collective(), of); }
  std::string presence() const { return at_.Presence(collective()); }

  std::vector<CheckCase> Take() { return std::move(cases_); }

 private:
  CheckCase& Add(CheckVerb verb, std::string destination, std::string what,
                 CheckExpectation expected, std::optional<CheckWitness> witness = {}) {
    CheckCase& added = cases_.emplace_back();
    added.row.set_role(role_);
    added.row.set_verb(verb);
    added.row.set_destination(std::move(destination));
    added.row.set_what(std::move(what));
    added.row.set_expected(expected);
    added.witness = std::move(witness);
    return added;
  }

  const CheckRole role_;
  const CheckNames& names_;
  Destinations at_, outside_;
  std::vector<CheckCase> cases_;
};

// One of them may do what all of its group may; where the broker knows each by name it must not.
void Others(CheckCase& tried, const Cases& to) {
  if (!to.activemq()) return;
  tried.row.set_expected(kGroup);
  tried.row.set_note(kActiveMqGroups);
}

void NodeCases(Cases* to) {
  const std::string& me = to->names().node;
  const std::string& controller = to->names().controller;
  const std::string request = to->request(), self = to->node(me), other = to->node(kCheckOther),
                    reply = to->reply(controller), presence = to->presence();
  to->Hear(request, "requests to all", kAllowed, CheckWitness{kController, request});
  to->Hear(self, "requests to itself", kAllowed, CheckWitness{kController, self});
  Others(to->Hear(other, "requests to another node", kRefused, CheckWitness{kController, other}),
         *to);
  std::string near = me;
  if (const size_t dot = near.find('.'); to->rabbitmq() && dot != std::string::npos) {
    near[dot] = '-';
    to->Hear(to->node(near), "requests to a node of nearly its name", kRefused,
             CheckWitness{kController, to->node(near)})
        .row.set_note(kDots);
  }
  to->Hear(reply, "replies to the controller", kRefused, CheckWitness{kNode, reply});
  to->Hear(to->reply(kCheckOther), "replies to another controller", kRefused,
           CheckWitness{kNode, to->reply(kCheckOther)});
  to->Hear(presence, "presence of nodes", kRefused, CheckWitness{kNode, presence});
  to->Say(reply, "a reply to the controller", kAllowed, CheckWitness{kController, reply});
  to->Say(presence, "its presence", kAllowed, CheckWitness{kController, presence});
  to->Say(request, "a request to all", kRefused, CheckWitness{kNode, request});
  to->Say(self, "a request to itself", kRefused, CheckWitness{kNode, self});
  to->Say(other, "a request to another node", kRefused);
}

void ControllerCases(Cases* to) {
  const std::string& me = to->names().controller;
  const std::string& node = to->names().node;
  const std::string request = to->request(), directed = to->node(node), reply = to->reply(me),
                    others = to->reply(kCheckOther), presence = to->presence();
  to->Hear(reply, "replies to itself", kAllowed, CheckWitness{kNode, reply});
  to->Hear(presence, "presence of nodes", kAllowed, CheckWitness{kNode, presence});
  Others(to->Hear(others, "replies to another controller", kRefused, CheckWitness{kNode, others}),
         *to);
  to->Hear(request, "requests to all", kRefused, CheckWitness{kController, request});
  to->Hear(directed, "requests to a node", kRefused, CheckWitness{kController, directed});
  to->Say(request, "a request to all", kAllowed, CheckWitness{kNode, request});
  to->Say(directed, "a request to a node", kAllowed, CheckWitness{kNode, directed});
  to->Say(reply, "a reply to itself", kRefused, CheckWitness{kController, reply});
  to->Say(others, "a reply to another controller", kRefused);
  to->Say(presence, "a node's presence", kRefused, CheckWitness{kController, presence});
}

void StrangerCases(Cases* to) {
  to->Hear(to->request(), "requests to all", kRefused, CheckWitness{kController, to->request()});
  to->Hear(to->presence(), "presence of nodes", kRefused, CheckWitness{kNode, to->presence()});
  to->Hear(to->reply(to->names().controller), "replies to the controller", kRefused,
           CheckWitness{kNode, to->reply(to->names().controller)});
  to->Say(to->request(), "a request to all", kRefused, CheckWitness{kNode, to->request()});
  to->Say(to->presence(), "a node's presence", kRefused, CheckWitness{kController, to->presence()});
  to->Say(to->reply(to->names().controller), "a reply to the controller", kRefused,
          CheckWitness{kController, to->reply(to->names().controller)});
}

// What the role does in its own collective, tried in another one.
void OtherCollectiveCases(CheckRole role, Cases* to) {
  const std::string other = to->other_collective();
  const bool apart = !to->names().other_collective.empty();
  const auto either = [&](CheckCase& tried) {
    if (!apart) tried.row.set_note(kCollectives);
  };
  const CheckExpectation expected = apart ? kRefused : kGroup;
  if (role == kNode) {
    either(to->Hear(to->at().Request(other), "requests of another collective", expected));
    either(to->Say(to->at().Presence(other), "presence in another collective", expected));
    to->Say(to->at().Request(other), "a request to another collective", kRefused);
  } else {
    either(to->Hear(to->at().Presence(other), "presence of another collective", expected));
    either(to->Say(to->at().Request(other), "a request to another collective", expected));
    to->Say(to->at().Presence(other), "presence in another collective", kRefused);
  }
}

// Ways around the names: what covers more than one destination, and what is no destination of ours.
void TopicAndQueueCases(CheckRole role, Cases* to) {
  const std::string base = absl::StrCat(to->names().prefix, ".");
  const std::string own = absl::StrCat(base, to->collective(), ".");
  // What it must not hear, and what it must not say.
  const CheckWitness unheard{role, role == kNode ? to->presence() : to->request()};
  const std::string unsaid = absl::StrCat(own, role == kNode ? "request" : "presence");
  const CheckWitness unsaid_heard{role, absl::StrCat("/topic/", unsaid)};
  const CheckWitness replies{kNode, to->reply(to->names().controller)};
  to->Hear("/topic/>", "all topics", kRefused, unheard);
  to->Hear("/queue/>", "all queues", kRefused, replies);
  to->Hear(absl::StrCat("/topic/", base, ">"), "all topics of the prefix", kRefused, unheard);
  for (const std::string& name : {absl::StrCat(own, "*"), absl::StrCat(base, "*.*")}) {
    to->Hear(absl::StrCat("/topic/", name), "all topics of a collective", kRefused, unheard);
  }
  CheckCase& nodes = to->Hear(absl::StrCat("/topic/", own, "node.>"), "requests to any node",
                              kRefused, CheckWitness{kController, to->node(kCheckOther)});
  if (role == kNode) Others(nodes, *to);
  CheckCase& queues = to->Hear(absl::StrCat("/queue/", own, "reply.>"), "replies to any controller",
                               kRefused, CheckWitness{kNode, to->reply(kCheckOther)});
  if (role == kController) Others(queues, *to);
  to->Say(absl::StrCat("/topic/", base, ">"), "to all topics of the prefix", kRefused,
          unsaid_heard);
  // ActiveMQ takes a list of destinations for one.
  if (role == kNode) {
    to->Say(absl::StrCat(to->reply(to->names().controller), ",/topic/", unsaid),
            "a reply and a request at once", kRefused, unsaid_heard);
    to->Hear(absl::StrCat(to->request(), ",/topic/", own, "presence"),
             "requests and presence at once", kRefused, unheard);
  } else {
    to->Say(absl::StrCat(to->request(), ",/topic/", unsaid), "a request and a presence at once",
            kRefused, unsaid_heard);
  }
  to->Hear("/temp-queue/orch-check", "a queue of its own", kRefused);
  if (!to->activemq()) return;
  to->Hear("/topic/ActiveMQ.Advisory.>", "the broker's news of who connects", kRefused);
  to->Hear("/queue/ActiveMQ.DLQ", "messages that nobody took", kRefused);
  to->Say("/queue/ActiveMQ.DLQ", "to the messages that nobody took", kRefused);
}

// A login counts there even with a certificate, and the user that RabbitMQ makes for itself may do
// everything.
void GuestCase(Cases* to) {
  CheckCase& guest = to->Connect("as guest, whose password everybody knows", kRefused);
  guest.login = "guest";
  guest.passcode = "guest";
}

void ExchangeCases(CheckRole role, Cases* to) {
  const std::string cmd = absl::StrCat("/exchange/", to->names().prefix, ".cmd/");
  const std::string rep = absl::StrCat("/exchange/", to->names().prefix, ".rep/");
  const std::string& own = to->collective();
  const CheckWitness requests{kController, to->node(kCheckOther)}, presence{kNode, to->presence()};
  to->Hear(absl::StrCat(cmd, "#"), "all requests", kRefused, requests);
  to->Hear(absl::StrCat(cmd, own, ".#"), "all requests of the collective", kRefused, requests);
  to->Hear(absl::StrCat(cmd, own, ".node.#"), "requests to any node", kRefused,
           CheckWitness{kController, to->node(kCheckOther)});
  to->Hear(absl::StrCat(rep, "#"), "all that nodes say", kRefused, presence);
  to->Hear(absl::StrCat(rep, own, ".reply.#"), "replies to any controller", kRefused,
           CheckWitness{kNode, to->reply(kCheckOther)});
  to->Hear("/topic/#", "exchange amq.topic", kRefused);
  for (const char* exchange : {"amq.topic/#", "amq.fanout", "amq.direct/orch-check",
                               "amq.rabbitmq.trace/#", "amq.rabbitmq.log/#"}) {
    const std::string name(exchange, std::string(exchange).find('/') == std::string::npos
                                         ? std::string(exchange).size()
                                         : std::string(exchange).find('/'));
    to->Hear(absl::StrCat("/exchange/", exchange), absl::StrCat("exchange ", name), kRefused);
  }
  // Where it is permitted, the queue goes by itself.
  to->Hear("/queue/orch-check", "a durable queue of its own", kRefused).headers = {
      {"x-expires", kQueueExpires}};
  to->Hear(role == kNode ? to->request() : to->presence(), "a queue named by itself", kRefused)
      .headers = {{"x-queue-name", "orch-check-named"}};
  to->Hear("/temp-queue/orch-check", "a queue of its own", kRefused);
  to->Say("/topic/orch-check", "exchange amq.topic", kRefused);
  to->Say("/exchange/amq.fanout", "exchange amq.fanout", kRefused);
  to->Say("/exchange/amq.direct/orch-check", "exchange amq.direct", kRefused);
  to->Say("/queue/orch-check-sent", "straight to a queue", kRefused).headers = {
      {"x-expires", kQueueExpires}};
  // A key of the role's own exchange that it has no business with.
  to->Say(absl::StrCat(role == kNode ? rep : cmd, "orch-check"), "a key outside the collectives",
          kRefused);
}

std::string Word(const std::string& value_name, absl::string_view enum_prefix) {
  return absl::AsciiStrToLower(absl::string_view(value_name).substr(enum_prefix.size()));
}

}  // namespace

std::vector<CheckCase> CheckCasesOf(CheckRole role, const CheckNames& names) {
  Cases cases(role, names);
  cases.Connect("", role == CHECK_ROLE_STRANGER ? kRefused : kAllowed);
  if (role == CHECK_ROLE_STRANGER) {
    StrangerCases(&cases);
    return cases.Take();
  }
  role == kNode ? NodeCases(&cases) : ControllerCases(&cases);
  OtherCollectiveCases(role, &cases);
  cases.Hear(cases.outside().Request(names.collective), "outside the prefix", kRefused);
  cases.Say(cases.outside().Request(names.collective), "outside the prefix", kRefused);
  cases.rabbitmq() ? ExchangeCases(role, &cases) : TopicAndQueueCases(role, &cases);
  if (cases.rabbitmq()) GuestCase(&cases);
  return cases.Take();
}

CheckRole RightfulSenderTo(CheckRole listener) { return listener == kNode ? kController : kNode; }

CheckFinding Conclude(CheckAnswer answer, std::optional<bool> arrived) {
  if (arrived.value_or(false)) return CHECK_FINDING_ALLOWED;
  switch (answer) {
    case CheckAnswer::kError:
    case CheckAnswer::kClosed:
      return CHECK_FINDING_REFUSED;
    case CheckAnswer::kReceipt:
      return arrived.has_value() ? CHECK_FINDING_DROPPED : CHECK_FINDING_ALLOWED;
    case CheckAnswer::kNothing:
      break;
  }
  return arrived.has_value() ? CHECK_FINDING_DROPPED : CHECK_FINDING_UNANSWERED;
}

bool IsSurprise(CheckExpectation expected, CheckFinding found) {
  switch (expected) {
    case kAllowed:
      return found != CHECK_FINDING_ALLOWED;
    case kRefused:
      return found != CHECK_FINDING_REFUSED && found != CHECK_FINDING_DROPPED;
    case kGroup:
      return found == CHECK_FINDING_UNANSWERED || found == CHECK_FINDING_UNSPECIFIED;
    default:
      return true;
  }
}

CheckRow Judge(const CheckCase& tried, CheckFinding found, absl::string_view answer) {
  CheckRow row = tried.row;
  row.set_found(found);
  row.set_surprise(IsSurprise(row.expected(), found));
  row.set_answer(std::string(answer));
  return row;
}

std::string RoleWord(CheckRole role) { return Word(CheckRole_Name(role), "CHECK_ROLE_"); }
std::string VerbWord(CheckVerb verb) { return Word(CheckVerb_Name(verb), "CHECK_VERB_"); }
std::string ExpectationWord(CheckExpectation expected) {
  if (expected == kGroup) return "by group";
  return Word(CheckExpectation_Name(expected), "CHECK_EXPECTATION_");
}
std::string FindingWord(CheckFinding found) {
  return Word(CheckFinding_Name(found), "CHECK_FINDING_");
}

std::string CheckTable(const BrokerCheck& check) {
  using Line = std::vector<std::string>;
  std::vector<Line> lines = {
      {"ROLE", "VERB", "DESTINATION", "WHAT", "EXPECTED", "FOUND", "RESULT", "WHY"}};
  for (const CheckRow& row : check.rows()) {
    lines.push_back({RoleWord(row.role()), VerbWord(row.verb()),
                     row.destination().empty() ? "-" : row.destination(),
                     row.what().empty() ? "-" : row.what(), ExpectationWord(row.expected()),
                     FindingWord(row.found()), row.surprise() ? "SURPRISE" : "ok",
                     !row.surprise() || row.answer().empty() ? row.note() : row.answer()});
  }
  std::vector<size_t> widths(lines[0].size(), 0);
  for (const Line& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string out;
  for (const Line& line : lines) {
    std::string text;
    for (size_t i = 0; i < line.size(); ++i) {
      absl::StrAppend(&text, i == 0 ? "" : "  ", line[i],
                      std::string(widths[i] - line[i].size(), ' '));
    }
    absl::StrAppend(&out, absl::StripTrailingAsciiWhitespace(text), "\n");
  }
  return out;
}

}  // namespace orch::bus
