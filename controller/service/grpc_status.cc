// SPDX-License-Identifier: Apache-2.0
#include "controller/service/grpc_status.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "api/errors.h"
#include "google/rpc/status.pb.h"

namespace orch::controller {
namespace {

std::string Cut(absl::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  size_t end = max;
  // Bytes 10xxxxxx continue a UTF-8 character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return std::string(text.substr(0, end));
}

}  // namespace

grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  if (api::ReasonOf(status).empty()) {
    absl::Status named =
        api::Error(status.code(), absl::StatusCodeToString(status.code()), status.message());
    status.ForEachPayload([&named](absl::string_view url, const absl::Cord& payload) {
      named.SetPayload(url, payload);
    });
    return ToGrpc(named);
  }
  google::rpc::Status wire;
  wire.set_code(static_cast<int>(status.code()));
  wire.set_message(Cut(status.message(), kErrorMessageMax));
  std::vector<std::pair<std::string, std::string>> details;
  status.ForEachPayload([&details](absl::string_view url, const absl::Cord& payload) {
    if (!absl::StartsWith(url, api::kTypeUrlPrefix)) return;
    // The ErrorInfo goes first, so that it is the one that stays.
    const bool info = absl::EndsWith(url, ".ErrorInfo");
    details.insert(info ? details.begin() : details.end(),
                   {std::string(url), std::string(payload)});
  });
  size_t bytes = wire.message().size();
  for (auto& [url, value] : details) {
    bytes += url.size() + value.size();
    if (bytes > kErrorDetailsMax) break;
    auto* any = wire.add_details();
    any->set_type_url(std::move(url));
    any->set_value(std::move(value));
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), wire.message(),
                      wire.SerializeAsString());
}

}  // namespace orch::controller
