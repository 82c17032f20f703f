// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "bus/check/check.pb.h"
#include "bus/stomp/config.pb.h"
#include "bus/stomp/frame.h"

// What `orch-broker check` tries on a broker, what docs/security.md ("Broker rights") wants to come
// of it, and how an observation is judged. Pure.

namespace orch::bus {

// The names that the tried destinations are made of.
struct CheckNames {
  Flavour flavour = FLAVOUR_EMBEDDED;
  std::string prefix = "orch";
  std::string collective = "main";
  std::string node = "orch-check-node";              // whose credentials the node's are
  std::string controller = "orch-check-controller";  // the controller's
  // A collective that these credentials must not reach. Empty: the broker's rights are not meant to
  // keep collectives apart (signatures do), so whatever it does is right.
  std::string other_collective;
};

// Names that nobody has; they stand for everybody else.
inline constexpr char kCheckOther[] = "orch-check-other";
inline constexpr char kCheckOtherCollective[] = "orch-check-other";

// Who can see whether a verb had an effect: of SUBSCRIBE, who may send to `destination`, which the
// subscription covers; of SEND, who may hear `destination`, on which the message would come out.
struct CheckWitness {
  CheckRole role = CHECK_ROLE_UNSPECIFIED;
  std::string destination;
};

struct CheckCase {
  CheckRow row;                      // without what was found
  std::vector<Header> headers = {};  // besides destination, id and ack
  std::optional<CheckWitness> witness = {};
  std::string login = {};  // of CONNECT, in place of the role's own; empty: that
  std::string passcode = {};
};

// Every permitted and every forbidden verb of `role`, the connection first.
std::vector<CheckCase> CheckCasesOf(CheckRole role, const CheckNames& names);

// Who may send to what `listener` hears: controllers to nodes, nodes to controllers.
CheckRole RightfulSenderTo(CheckRole listener);

// How the broker answered a frame with a receipt.
enum class CheckAnswer { kReceipt, kError, kClosed, kNothing };

// `arrived`: whether a message came through; nothing where nobody could see it.
CheckFinding Conclude(CheckAnswer answer, std::optional<bool> arrived);
bool IsSurprise(CheckExpectation expected, CheckFinding found);

// Fills in what was found of a case.
CheckRow Judge(const CheckCase& tried, CheckFinding found, absl::string_view answer);

// The words of tables: `node`, `subscribe`, `by group`, `dropped`.
std::string RoleWord(CheckRole role);
std::string VerbWord(CheckVerb verb);
std::string ExpectationWord(CheckExpectation expected);
std::string FindingWord(CheckFinding found);

// The table of a check, a line per row, with a head.
std::string CheckTable(const BrokerCheck& check);

}  // namespace orch::bus
