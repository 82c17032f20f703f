// SPDX-License-Identifier: Apache-2.0
#include "controller/dispatcher/pending_keys.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "absl/strings/str_cat.h"
#include "api/errors.h"
#include "base/sha256.h"

namespace orch::controller {

std::string BodyDigest(const orch::v1::JobSpec& spec) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    spec.SerializeToCodedStream(&coded);
  }
  return base::Sha256(bytes);
}

absl::Status KeyReused(const std::string& key) {
  return api::Error(absl::StatusCode::kAlreadyExists, "IDEMPOTENCY_KEY_REUSED",
                    absl::StrCat("the idempotency key ", key, " was used with another request"));
}

bool PendingKeys::IsFirst(const std::string& caller, const std::string& key,
                          const std::string& body_digest, const Done& done) {
  auto [it, first] = keys_.try_emplace(std::pair(caller, key));
  Pending& pending = it->second;
  if (first) pending.body_digest = body_digest;
  if (pending.body_digest != body_digest) {
    done(KeyReused(key));
  } else if (pending.waiters.size() >= kKeyWaitersMax) {
    done(api::WithRetry(api::Error(absl::StatusCode::kResourceExhausted, "TOO_MANY_JOBS",
                                   "too many calls wait for the same idempotency key"),
                        absl::Seconds(1)));
  } else {
    pending.waiters.push_back(done);
  }
  return first;
}

void PendingKeys::Answer(const std::string& caller, const std::string& key,
                         const absl::StatusOr<CreatedJob>& created) {
  // Out first: who is answered may come again with the same key.
  const auto pending = keys_.extract(std::pair(caller, key));
  if (pending.empty()) return;
  for (const Done& done : pending.mapped().waiters) done(created);
}

}  // namespace orch::controller
