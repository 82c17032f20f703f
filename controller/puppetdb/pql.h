// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// The questions to PuppetDB and what its answers mean (PuppetDB 7, query API v4: `/pdb/query/v4`
// with PQL in a JSON body). Pure.

namespace orch::controller {

// The most bytes of a query.
inline constexpr size_t kPqlBytesMax = 4096;
// The most bytes of an answer's body, and the most nodes in it.
inline constexpr size_t kPuppetDbBytesMax = 16 << 20;
inline constexpr size_t kPuppetDbNodesMax = 50'000;

// `https://puppetdb.example.net:8081`, perhaps with a path in front of `/pdb`.
struct PuppetDbAddress {
  bool tls = true;
  std::string host;       // as in the Host header: with the port where it is not the scheme's own
  std::string host_port;  // to connect to
  std::string path;       // path of the query's URL
};

// Parses such a URL. InvalidArgument: it is not of that form, or is `http://` for another host than
// this one.
absl::StatusOr<PuppetDbAddress> ParsePuppetDbUrl(absl::string_view url);

// Checks a query. InvalidArgument (its BadRequest names `field`): it has nothing but space, is too
// long, or has control characters other than line breaks and tabs.
absl::Status ValidatePql(absl::string_view field, absl::string_view pql);

// The body of the HTTP request for a query.
std::string PqlBody(absl::string_view pql);

// The `certname` of each row of an answer, sorted, without repeats.
//
// InvalidArgument: PuppetDB does not understand the query (with its own words), or the query gives
// rows without a certname, or names that no node can have. FailedPrecondition PUPPETDB_REFUSED: it
// does not let this controller ask. ResourceExhausted PUPPETDB_ANSWER_TOO_LARGE. Unavailable
// PUPPETDB_UNAVAILABLE with RetryInfo: everything else.
absl::StatusOr<std::vector<std::string>> CertnamesIn(int http_status, absl::string_view body);

absl::Status PuppetDbUnavailable(absl::string_view why);
absl::Status PuppetDbAnswerTooLarge(absl::string_view why);

// The names that are in both lists, which are sorted. An empty `nodes` stands for all names.
std::vector<std::string> NarrowedTo(const std::vector<std::string>& certnames,
                                    const std::vector<std::string>& nodes);

}  // namespace orch::controller
