// SPDX-License-Identifier: Apache-2.0
#include "cli/confirm.h"

#include <istream>
#include <ostream>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "cli/render.h"

namespace orch::cli {
namespace {

// Longer answers are no numbers of nodes.
constexpr size_t kAnswerBytesMax = 64;

// A line of at most kAnswerBytesMax; nullopt: it is longer, or the input has ended.
std::optional<std::string> ReadAnswer(const Terminal& terminal, std::istream& in) {
  std::string answer;
  for (char c = 0; in.get(c) && c != '\n';) {
    if (answer.size() <= kAnswerBytesMax) answer += c;
  }
  if (!in) {
    terminal.err << std::endl;  // ^D left the cursor in the line
    return std::nullopt;
  }
  if (answer.size() > kAnswerBytesMax) return std::nullopt;
  return std::string(absl::StripAsciiWhitespace(answer));
}

}  // namespace

bool MayAsk(const Session& session) {
  return session.terminal.can_ask && !session.options.no_input && !session.options.yes;
}

std::optional<uint32_t> CountToConfirm(const absl::Status& refusal) {
  if (api::ReasonOf(refusal) != "CONFIRMATION_REQUIRED") return std::nullopt;
  const auto payload = refusal.GetPayload(absl::StrCat(api::kTypeUrlPrefix, "PreconditionFailure"));
  google::rpc::PreconditionFailure failure;
  if (!payload.has_value() || !failure.ParseFromString(std::string(*payload))) return std::nullopt;
  for (const auto& violation : failure.violations()) {
    uint32_t count = 0;
    if (violation.type() == "NODE_COUNT" && absl::SimpleAtoi(violation.subject(), &count) &&
        count > 0)
      return count;
  }
  return std::nullopt;
}

bool ConfirmCount(Terminal& terminal, std::istream& in, const std::string& what, uint32_t count) {
  terminal.err << Paint(terminal, Color::kBold,
                        absl::StrCat(Safe(what), " would go to ", count, " nodes."))
               << "\nType their number to go on; anything else stops: " << std::flush;
  return ReadAnswer(terminal, in) == absl::StrCat(count);
}

bool ConfirmAll(const Terminal& terminal, std::istream& in, const std::string& what) {
  terminal.err << Paint(terminal, Color::kBold,
                        absl::StrCat(what, ": no node is named, so it would go to all of them."))
               << "\nType all to go on; anything else stops: " << std::flush;
  return ReadAnswer(terminal, in) == "all";
}

}  // namespace orch::cli
