// SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/config.h"
#include "base/status.h"

namespace orch::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

void Take(const std::string& value, std::string* field) {
  if (!value.empty()) *field = value;
}

std::string Quoted(const std::string& value) {
  return absl::StrCat("\"", absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"\"", "\\\""}}), "\"");
}

absl::Status MakeDirectories(const std::string& path) {
  for (size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    if (mkdir(path.substr(0, slash).c_str(), 0700) != 0 && errno != EEXIST) {
      return absl::ErrnoToStatus(errno, absl::StrCat("create ", path.substr(0, slash)));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string ExpandHome(const std::string& path) {
  return absl::StartsWith(path, "~/") ? Environment("HOME") + path.substr(1) : path;
}

std::string KeptPath(const std::string& path) {
  if (path.empty() || absl::StartsWith(path, "~/")) return path;
  std::error_code error;  // where there is no current directory any more
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

std::string ConfigPath() {
  const std::string explicit_path = Environment("ORCHCTL_CONFIG");
  if (!explicit_path.empty()) return explicit_path;
  const std::string xdg = Environment("XDG_CONFIG_HOME");
  return absl::StrCat(xdg.empty() ? Environment("HOME") + "/.config" : xdg, "/orchctl/config.yaml");
}

absl::StatusOr<Config> LoadConfig() {
  Config config;
  const absl::Status status = base::LoadYaml(ConfigPath(), &config);
  if (absl::IsNotFound(status)) return Config();
  if (!status.ok()) return status;
  return config;
}

absl::Status SaveConfig(const Config& config) {
  std::string text;
  if (!config.current_context().empty()) {
    absl::StrAppend(&text, "current_context: ", Quoted(config.current_context()), "\n");
  }
  if (!config.inventory().empty()) {
    absl::StrAppend(&text, "inventory: ", Quoted(config.inventory()), "\n");
  }
  absl::StrAppend(&text, "contexts:", config.contexts().empty() ? " {}\n" : "\n");
  for (const auto& [name, context] : config.contexts()) {
    absl::StrAppend(&text, "  ", Quoted(name), ":\n    server: ", Quoted(context.server()), "\n");
    const auto line = [&text](absl::string_view key, const std::string& value) {
      if (!value.empty()) absl::StrAppend(&text, "    ", key, ": ", Quoted(value), "\n");
    };
    line("ca", context.ca());
    line("cert", context.cert());
    line("key", context.key());
    line("server_name", context.server_name());
    if (context.insecure_loopback()) absl::StrAppend(&text, "    insecure_loopback: true\n");
  }
  ORCH_RETURN_IF_ERROR(MakeDirectories(ConfigPath()));
  return base::WriteFileAtomically(ConfigPath(), text, 0600);
}

absl::Status CheckServer(const std::string& server) {
  const size_t colon = server.rfind(':');
  uint32_t port = 0;
  const bool v6_without_brackets =
      colon != std::string::npos && server.find(':') != colon && server[0] != '[';
  if (colon == std::string::npos || colon == 0 || v6_without_brackets ||
      !absl::SimpleAtoi(server.substr(colon + 1), &port) || port == 0 || port > 65535 ||
      server.find_first_of(" /@") != std::string::npos) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--server ", server, ": expected HOST:PORT, for example controller.example.net:7443"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Context> ResolveContext(const GlobalOptions& options) {
  ORCH_ASSIGN_OR_RETURN(const Config config, LoadConfig());
  std::string name = config.current_context();
  Take(Environment("ORCHCTL_CONTEXT"), &name);
  Take(options.context, &name);
  Context context;
  if (!name.empty()) {
    const auto it = config.contexts().find(name);
    if (it == config.contexts().end()) {
      return absl::InvalidArgumentError(absl::StrCat("context `", name, "` is not in ",
                                                     ConfigPath(), "; see `orchctl context list`"));
    }
    context = it->second;
  }
  const std::pair<const char*, std::string*> variables[] = {
      {"ORCHCTL_SERVER", context.mutable_server()},
      {"ORCHCTL_CA", context.mutable_ca()},
      {"ORCHCTL_CERT", context.mutable_cert()},
      {"ORCHCTL_KEY", context.mutable_key()},
      {"ORCHCTL_SERVER_NAME", context.mutable_server_name()}};
  for (const auto& [variable, field] : variables) Take(Environment(variable), field);
  Take(options.server, context.mutable_server());
  Take(options.ca, context.mutable_ca());
  Take(options.cert, context.mutable_cert());
  Take(options.key, context.mutable_key());
  Take(options.server_name, context.mutable_server_name());
  if (options.insecure_loopback || Environment("ORCHCTL_INSECURE_LOOPBACK") == "true") {
    context.set_insecure_loopback(true);
  }
  for (std::string* path : {context.mutable_ca(), context.mutable_cert(), context.mutable_key()}) {
    *path = ExpandHome(*path);
  }
  if (context.server().empty()) {
    return absl::FailedPreconditionError(
        "no controller given: use --server HOST:PORT, ORCHCTL_SERVER or `orchctl context set`");
  }
  ORCH_RETURN_IF_ERROR(CheckServer(context.server()));
  if (context.insecure_loopback()) return context;
  const std::pair<const char*, const std::string*> needed[] = {
      {"--ca", &context.ca()}, {"--cert", &context.cert()}, {"--key", &context.key()}};
  for (const auto& [flag, value] : needed) {
    if (value->empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("no ", flag, " given for ", context.server(),
                       ": the controller wants a client certificate"));
    }
  }
  return context;
}

}  // namespace orch::cli
