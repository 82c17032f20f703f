// SPDX-License-Identifier: Apache-2.0
#include "nodeagent/puppet/puppet_errors.h"

#include <utility>

#include "absl/strings/numbers.h"
#include "nodeagent/text/clean_text.h"

namespace orch::nodeagent {

std::string CutReportText(absl::string_view text) {
  std::string cut = CleanText(text, kReportTextMax);
  if (text.size() > kReportTextMax) cut += "…";
  return cut;
}

void PuppetErrors::Add(orch::v1::PuppetRunError error) {
  error.set_message(CutReportText(error.message()));
  error.set_file(CutReportText(error.file()));
  error.set_resource(CutReportText(error.resource()));
  errors_.push_back(std::move(error));
  // The first one stays.
  if (errors_.size() > kErrorsMax) errors_.erase(errors_.begin() + 1);
}

namespace {

// A compiler tells the place in its message alone: `… (file: /site.pp, line: 2, column: 3) on node
// a`.
void PlaceFromMessage(orch::v1::PuppetRunError* error) {
  constexpr absl::string_view kFile = "(file: ";
  constexpr absl::string_view kLine = ", line: ";
  const absl::string_view message = error->message();
  const size_t begin = message.rfind(kFile);
  if (begin == absl::string_view::npos) return;
  absl::string_view rest = message.substr(begin + kFile.size());
  const size_t comma = rest.find(kLine);
  if (comma == absl::string_view::npos) return;
  absl::string_view number = rest.substr(comma + kLine.size());
  number = number.substr(0, number.find_first_not_of("0123456789"));
  uint32_t line = 0;
  if (!absl::SimpleAtoi(number, &line)) return;
  error->set_file(std::string(rest.substr(0, comma)));
  error->set_line(line);
}

}  // namespace

orch::v1::PuppetRunError MakePuppetError(absl::string_view source, absl::string_view message,
                                         absl::string_view file, uint32_t line) {
  orch::v1::PuppetRunError error;
  error.set_message(std::string(message));
  error.set_file(std::string(file));
  error.set_line(line);
  if (source != "Puppet") error.set_resource(std::string(source));
  if (file.empty()) PlaceFromMessage(&error);
  return error;
}

}  // namespace orch::nodeagent
