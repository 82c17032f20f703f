// SPDX-License-Identifier: Apache-2.0
#include "controller/service/grpc_status.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "api/errors.h"
#include "base/text.h"
#include "google/rpc/status.pb.h"

namespace orch::controller {
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
  wire.set_message(base::ToUtf8(status.message(), kErrorMessageMax));
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
