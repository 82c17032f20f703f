// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bus/check/check.pb.h"
#include "bus/stomp/config.pb.h"
#include "bus/stomp/frame.h"

// The cases that `orch-broker check` tries on a broker, with the result that docs/security.md
// ("Broker rights") demands of each, and how an observation is judged. Pure.

namespace orch::bus {

// The names that the tried destinations are made of.
struct CheckNames {
  Flavour flavour = FLAVOUR_EMBEDDED;
  std::string prefix = "orch";
  std::string collective = "main";
  std::string node = "orch-check-node";              // the identity in the credentials of role node
  std::string controller = "orch-check-controller";  // the identity in those of role controller
  // A collective that these credentials must not reach. Empty: the broker's rights are not meant to
  // keep collectives apart (signatures do), so whatever it does is right.
  std::string other_collective;
};

// Names that nobody has. They stand for all other nodes, controllers and collectives.
inline constexpr char kCheckOther[] = "orch-check-other";
inline constexpr char kCheckOtherCollective[] = "orch-check-other";

// Who can see whether a verb had an effect. Of a SUBSCRIBE: the role that may send to
// `destination`, which the subscription covers. Of a SEND: the role that may hear `destination`, on
// which the message would arrive.
struct CheckWitness {
  CheckRole role = CHECK_ROLE_UNSPECIFIED;
  std::string destination;
};

struct CheckCase {
  CheckRow row;                      // the row of the report, without what was found
  std::vector<Header> headers = {};  // besides destination, id and ack
  std::optional<CheckWitness> witness = {};
  std::string login = {};  // login of CONNECT in place of the role's own; empty: the role's own
  std::string passcode = {};
};

// All cases of `role`, permitted and forbidden; the first one is the connection itself.
std::vector<CheckCase> CheckCasesOf(CheckRole role, const CheckNames& names);

// The role that may send to what `listener` hears: controllers send to nodes, nodes to controllers.
CheckRole RightfulSenderTo(CheckRole listener);

// How the broker answered a frame that asked for a receipt: with the RECEIPT, an ERROR, by closing,
// or not at all.
enum class CheckAnswer { kReceipt, kError, kClosed, kNothing };

// The finding from the broker's answer and from `arrived`: whether a message came through; nullopt
// where nobody could see it.
CheckFinding Conclude(CheckAnswer answer, std::optional<bool> arrived);
bool IsSurprise(CheckExpectation expected, CheckFinding found);

// The complete row of a case.
CheckRow Judge(const CheckCase& tried, CheckFinding found, absl::string_view answer);

// The words of tables: `node`, `subscribe`, `by group`, `dropped`.
std::string RoleWord(CheckRole role);
std::string VerbWord(CheckVerb verb);
std::string ExpectationWord(CheckExpectation expected);
std::string FindingWord(CheckFinding found);

// The table of a check, a line per row, with a head.
std::string CheckTable(const BrokerCheck& check);

}  // namespace orch::bus
