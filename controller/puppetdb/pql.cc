// SPDX-License-Identifier: Apache-2.0
#include "controller/puppetdb/pql.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "api/errors.h"
#include "base/ids.h"
#include "base/status.h"
#include "base/text.h"
#include "bus/stomp/address.h"

namespace orch::controller {
namespace {

constexpr char kQueryPath[] = "/pdb/query/v4";
constexpr absl::Duration kRetryDelay = absl::Seconds(5);
// Of PuppetDB's own words.
constexpr size_t kWordsMax = 500;

// In one line: PuppetDB draws pictures.
std::string Shown(absl::string_view text) {
  std::string words = base::ToUtf8(text, kWordsMax);
  absl::RemoveExtraAsciiWhitespace(&words);
  std::replace_if(words.begin(), words.end(), absl::ascii_isspace, ' ');
  return absl::Utf8SafeCEscape(words);
}

}  // namespace

absl::StatusOr<PuppetDbAddress> ParsePuppetDbUrl(absl::string_view url) {
  PuppetDbAddress out;
  absl::string_view rest = url;
  if (absl::ConsumePrefix(&rest, "http://")) {
    out.tls = false;
  } else if (!absl::ConsumePrefix(&rest, "https://")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "`", url, "` does not begin with https://, for example https://puppetdb.example.net:8081"));
  }
  const size_t slash = std::min(rest.find('/'), rest.size());
  out.host = std::string(rest.substr(0, slash));
  out.path = absl::StrCat(absl::StripSuffix(rest.substr(slash), "/"), kQueryPath);
  const bool strange = std::any_of(rest.begin(), rest.end(), [](unsigned char c) {
    return !absl::ascii_isgraph(c) || c == '?' || c == '#' || c == '@';
  });
  if (out.host.empty() || strange) {
    return absl::InvalidArgumentError(absl::StrCat("`", url, "` is not a plain URL"));
  }
  const size_t bracket = out.host.rfind(']');
  const size_t colon = out.host.rfind(':');
  const bool has_port =
      colon != std::string::npos && (bracket == std::string::npos || colon > bracket);
  out.host_port = has_port ? out.host : absl::StrCat(out.host, out.tls ? ":443" : ":80");
  ORCH_ASSIGN_OR_RETURN(const bus::Address address, bus::ParseAddress(out.host_port));
  if (!out.tls && !bus::IsLoopback(address.host)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "http:// is for 127.0.0.1, ::1 and localhost, not ", address.host, ": use https://"));
  }
  return out;
}

absl::Status ValidatePql(absl::string_view field, absl::string_view pql) {
  if (pql.size() > kPqlBytesMax) {
    return api::BadField(field, absl::StrCat("longer than ", kPqlBytesMax, " bytes"));
  }
  if (absl::StripAsciiWhitespace(pql).empty()) return api::BadField(field, "is empty");
  const bool control = std::any_of(pql.begin(), pql.end(), [](unsigned char c) {
    return absl::ascii_iscntrl(c) && c != '\n' && c != '\r' && c != '\t';
  });
  return control ? api::BadField(field, "has control characters") : absl::OkStatus();
}

std::string PqlBody(absl::string_view pql) {
  const nlohmann::json body = {{"query", std::string(pql)}};
  return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::Status PuppetDbUnavailable(absl::string_view why) {
  return api::WithRetry(api::Error(absl::StatusCode::kUnavailable, "PUPPETDB_UNAVAILABLE", why),
                        kRetryDelay);
}

absl::Status PuppetDbAnswerTooLarge(absl::string_view why) {
  return api::Error(absl::StatusCode::kResourceExhausted, "PUPPETDB_ANSWER_TOO_LARGE", why);
}

absl::StatusOr<std::vector<std::string>> CertnamesIn(int http_status, absl::string_view body) {
  if (http_status == 400) return absl::InvalidArgumentError(Shown(body));
  if (http_status == 401 || http_status == 403) {
    return api::Error(absl::StatusCode::kFailedPrecondition, "PUPPETDB_REFUSED",
                      absl::StrCat("does not let this controller ask (HTTP ", http_status,
                                   "): its certificate-allowlist must have the controller's name"));
  }
  if (http_status != 200) {
    return PuppetDbUnavailable(absl::StrCat("HTTP ", http_status, ": ", Shown(body)));
  }
  const nlohmann::json rows = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!rows.is_array()) return PuppetDbUnavailable("its answer is not a JSON list");
  if (rows.size() > kPuppetDbNodesMax) {
    return PuppetDbAnswerTooLarge(
        absl::StrCat("the query gives ", rows.size(), " rows, at most ", kPuppetDbNodesMax,
                     " are taken; narrow it, or ask for nodes[certname]"));
  }
  std::vector<std::string> names;
  names.reserve(rows.size());
  for (const nlohmann::json& row : rows) {
    const auto name = row.is_object() ? row.find("certname") : row.end();
    if (name == row.end() || !name->is_string()) {
      return absl::InvalidArgumentError(
          "the query gives rows without a certname; ask for example for nodes[certname]{ … }");
    }
    names.push_back(name->get<std::string>());
    if (base::IsIdentity(names.back())) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the query gives the certname `", Shown(names.back()), "`, which no node can have"));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::vector<std::string> NarrowedTo(const std::vector<std::string>& certnames,
                                    const std::vector<std::string>& nodes) {
  if (nodes.empty()) return certnames;
  std::vector<std::string> out;
  std::set_intersection(certnames.begin(), certnames.end(), nodes.begin(), nodes.end(),
                        std::back_inserter(out));
  return out;
}

}  // namespace orch::controller
