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

// Everything that the files of a TrustConfig say, loaded and checked as one. Blocking (reads
// files).

namespace orch::trust {

// Who I am and whom I trust. Constant after construction; shared by whoever works with it while the
// next one is already in force.
struct Snapshot {
  std::shared_ptr<X509> certificate;
  std::vector<std::shared_ptr<X509>> intermediates;  // of my certificate, as its file has them
  std::shared_ptr<EVP_PKEY> key;
  Peer self;
  std::vector<std::string> own_ca_keys;  // KeyDigestOf each CA above my certificate
  std::shared_ptr<const Verifier> verifier;
};

struct Loaded {
  Snapshot snapshot;
  std::vector<FileStamp> stamps;
  std::string digest;  // SHA-256 over all that was read
};

// Reads and checks all files. `known` are revocation lists that are in force already; one of them
// stays where the file has none as new from the same CA. The error names the file and why.
absl::StatusOr<Loaded> LoadSnapshot(const TrustConfig& config, const std::vector<Crl>& known,
                                    absl::Time now);

// The same with other revocation lists.
Snapshot WithCrls(const Snapshot& snapshot, std::vector<Crl> crls);

std::string PrivateKeyPem(EVP_PKEY* key);

}  // namespace orch::trust
