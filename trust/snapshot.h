// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "trust/config.pb.h"
#include "trust/identity.h"
#include "trust/openssl.h"
#include "trust/trust_files.h"
#include "trust/verifier.h"

// The files of a TrustConfig, loaded and checked as one. Calls block: they read files.

namespace orch::trust {

// Who this process is and whom it trusts, at one moment. Constant after construction. Whoever works
// with a snapshot shares it and may go on with it while a newer one is in force.
struct Snapshot {
  std::shared_ptr<X509> certificate;
  // The CAs between `certificate` and a root, as its file has them.
  std::vector<std::shared_ptr<X509>> intermediates;
  std::shared_ptr<EVP_PKEY> key;
  Peer self;
  std::vector<std::string> own_ca_keys;  // KeyDigestOf each CA above my certificate
  std::shared_ptr<const Verifier> verifier;
};

struct Loaded {
  Snapshot snapshot;
  std::vector<FileStamp> stamps;
  std::string digest;  // SHA-256 over all files; equal digests mean equal content
};

// Reads and checks all files. `known` are revocation lists that are in force already; one of them
// stays where the file has none as new from the same CA. The error names the file and why.
absl::StatusOr<Loaded> LoadSnapshot(const TrustConfig& config, const std::vector<Crl>& known,
                                    absl::Time now);

// A copy of `snapshot` with other revocation lists.
Snapshot WithCrls(const Snapshot& snapshot, std::vector<Crl> crls);

std::string PrivateKeyPem(EVP_PKEY* key);

}  // namespace orch::trust
