// SPDX-License-Identifier: Apache-2.0

// A compiled target keeps its clauses apart instead of joining them into one tree, because people
// ask for each of them: which clause left no node, and what did the node have there. Identities are
// the exception in cost: there may be a hundred thousand of them, so those that are exact are
// looked up in a set. A clause that fails for a reason of the node (a call that it can't answer)
// makes the whole false here, and one that only the node itself can decide makes it unknown, unless
// another clause is false: so the roster never asks a node that can't match.

#include "target/target.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "target/evaluate.h"
#include "target/explain.h"
#include "target/observe.h"
#include "target/parse.h"
#include "target/print.h"

namespace orch::target {
namespace {

// A target names at most so many identities: more than the largest fleet, less than what would
// hurt.
constexpr int kIdentitiesMax = 100'000;
constexpr size_t kCollectiveLengthMax = 32;
// Of many identities so many are named to people.
constexpr size_t kIdentitiesNamedMax = 5;

bool IsCollective(absl::string_view name) {
  const auto fits = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= kCollectiveLengthMax &&
         std::all_of(name.begin(), name.end(), fits);
}

// One line of the target: what `orchctl explain target` counts after.
struct Clause {
  enum class Kind { kIdentities, kAction, kExpression };
  Kind kind = Kind::kExpression;
  absl::string_view flag;         // kExpression: -F, -C or -S
  ExpressionPtr expression;       // kExpression
  std::vector<Pattern> patterns;  // kAction: one; kIdentities: in their order
  // kIdentities: those of `patterns`, which stay where they are, that are no regex, and the others.
  absl::flat_hash_set<absl::string_view> exact;
  std::vector<const Pattern*> likes;

  Truth Evaluate(Evaluation* evaluation, const NodeView& node) const {
    if (kind == Kind::kExpression) return evaluation->Evaluate(*expression);
    if (kind == Kind::kAction) return evaluation->HasAction(patterns[0]);
    if (exact.contains(node.identity())) return Truth::kTrue;
    for (const Pattern* pattern : likes) {
      const Truth truth = evaluation->HasIdentity(*pattern);
      if (truth != Truth::kFalse) return truth;
    }
    return Truth::kFalse;
  }

  std::string Words() const {
    if (kind == Kind::kAction) return absl::StrCat("offers action ", ExplainPattern(patterns[0]));
    if (kind == Kind::kExpression) return ExplainExpression(*expression);
    std::string out = "identity is ";
    const size_t named = std::min(patterns.size(), kIdentitiesNamedMax);
    for (size_t i = 0; i < named; ++i) {
      absl::StrAppend(&out, i == 0 ? "" : " or ", ExplainPattern(patterns[i]));
    }
    if (named < patterns.size()) {
      absl::StrAppend(&out, " or one of ", patterns.size() - named, " more");
    }
    return out;
  }

  std::string Print() const {
    if (kind == Kind::kExpression) {
      const std::string text = flag == "-F" ? PrintFact(*expression) : PrintExpression(*expression);
      return absl::StrCat(flag, " ", ShellQuote(text));
    }
    const auto print = [this](std::string* out, const Pattern& pattern) {
      const std::string text =
          pattern.like == nullptr ? pattern.exact : absl::StrCat("/", pattern.source, "/");
      absl::StrAppend(out, kind == Kind::kAction ? "-A " : "-I ", ShellQuote(text));
    };
    return absl::StrJoin(patterns, " ", print);
  }
};

ExpressionPtr HasClass(Pattern pattern) {
  auto out = std::make_unique<Expression>();
  out->kind = pattern.like == nullptr ? Expression::Kind::kClass : Expression::Kind::kClassLike;
  out->name = std::move(pattern.exact);
  if (pattern.like != nullptr) out->comparison.op = Operator::kMatches;
  out->comparison.text = std::move(pattern.source);
  out->comparison.regex = std::move(pattern.like);
  return out;
}

// `select`, or `select[1]` where there are several.
std::string EntryName(absl::string_view field, int index, int count) {
  return count == 1 ? std::string(field) : absl::StrCat(field, "[", index, "]");
}

Match MatchOf(Truth truth, const Evaluation& evaluation, const Clause& clause) {
  if (!evaluation.failure().empty()) return {Truth::kFalse, evaluation.failure(), false};
  switch (truth) {
    case Truth::kTrue:
      return {Truth::kTrue, "", false};
    case Truth::kFalse:
      return {Truth::kFalse, absl::StrCat("not so: ", clause.Words()), false};
    case Truth::kUnknown:
      break;
  }
  return {Truth::kUnknown, absl::StrCat(clause.Words(), ": ", evaluation.unavailable()), true};
}

}  // namespace

struct Target::Clauses {
  std::vector<Clause> all;
  Budget budget;  // while compiling

  absl::Status AddIdentities(const orch::v1::Target& proto) {
    if (proto.identities().empty()) return absl::OkStatus();
    if (proto.identities_size() > kIdentitiesMax) {
      return absl::InvalidArgumentError(
          absl::StrCat("identities: more than ", kIdentitiesMax, " of them"));
    }
    Clause clause;
    clause.kind = Clause::Kind::kIdentities;
    clause.patterns.reserve(proto.identities_size());
    for (int i = 0; i < proto.identities_size(); ++i) {
      absl::StatusOr<Pattern> pattern = ParsePattern(proto.identities(i), &budget);
      if (!pattern.ok()) {
        return base::Annotate(pattern.status(),
                              EntryName("identities", i, proto.identities_size()));
      }
      clause.patterns.push_back(*std::move(pattern));
    }
    clause.exact.reserve(clause.patterns.size());
    for (const Pattern& pattern : clause.patterns) {
      pattern.like == nullptr ? void(clause.exact.insert(pattern.exact))
                              : clause.likes.push_back(&pattern);
    }
    all.push_back(std::move(clause));
    return absl::OkStatus();
  }

  template <typename Parse>
  absl::Status AddEach(absl::string_view field, absl::string_view flag,
                       const google::protobuf::RepeatedPtrField<std::string>& texts, Parse parse) {
    if (texts.size() > kExpressionTermsMax) {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ": more than ", kExpressionTermsMax, " of them"));
    }
    for (int i = 0; i < texts.size(); ++i) {
      Clause clause;
      clause.flag = flag;
      const absl::Status status = parse(texts.Get(i), &clause);
      if (!status.ok()) return base::Annotate(status, EntryName(field, i, texts.size()));
      all.push_back(std::move(clause));
    }
    return absl::OkStatus();
  }
};

Target::Target() : collective_("main"), clauses_(std::make_unique<Clauses>()) {}
Target::~Target() = default;
Target::Target(Target&&) noexcept = default;
Target& Target::operator=(Target&&) noexcept = default;

absl::StatusOr<Target> Target::Compile(const orch::v1::Target& proto) {
  Target out;
  if (!proto.collective().empty()) out.collective_ = proto.collective();
  if (!IsCollective(out.collective_)) {
    return absl::InvalidArgumentError(
        "collective: a name is made of a-z, 0-9, _ and -, at most 32 of them");
  }
  Clauses& clauses = *out.clauses_;
  Budget* budget = &clauses.budget;
  ORCH_RETURN_IF_ERROR(clauses.AddIdentities(proto));
  ORCH_RETURN_IF_ERROR(clauses.AddEach(
      "facts", "-F", proto.facts(), [budget](const std::string& text, Clause* clause) {
        ORCH_ASSIGN_OR_RETURN(clause->expression, ParseFact(text, budget));
        return absl::OkStatus();
      }));
  ORCH_RETURN_IF_ERROR(clauses.AddEach(
      "classes", "-C", proto.classes(), [budget](const std::string& text, Clause* clause) {
        ORCH_ASSIGN_OR_RETURN(Pattern pattern, ParsePattern(text, budget));
        clause->expression = HasClass(std::move(pattern));
        return absl::OkStatus();
      }));
  ORCH_RETURN_IF_ERROR(clauses.AddEach(
      "actions", "-A", proto.actions(), [budget](const std::string& text, Clause* clause) {
        clause->kind = Clause::Kind::kAction;
        ORCH_ASSIGN_OR_RETURN(Pattern pattern, ParsePattern(text, budget));
        clause->patterns.push_back(std::move(pattern));
        return absl::OkStatus();
      }));
  ORCH_RETURN_IF_ERROR(clauses.AddEach(
      "select", "-S", proto.select(), [budget](const std::string& text, Clause* clause) {
        ORCH_ASSIGN_OR_RETURN(clause->expression, ParseExpression(text, budget));
        return absl::OkStatus();
      }));
  return out;
}

bool Target::empty() const { return clauses_->all.empty(); }
size_t Target::clause_count() const { return clauses_->all.size(); }

std::string Target::ClauseWords(size_t index) const { return clauses_->all[index].Words(); }

Match Target::EvaluateClause(size_t index, const NodeView& node) const {
  const Clause& clause = clauses_->all[index];
  Evaluation evaluation(node, /*missing_is_unknown=*/false);
  const Truth truth = clause.Evaluate(&evaluation, node);
  return MatchOf(truth, evaluation, clause);
}

std::string Target::ObserveClause(size_t index, const NodeView& node) const {
  const Clause& clause = clauses_->all[index];
  if (clause.kind == Clause::Kind::kAction) return ObserveActions(node);
  if (clause.kind == Clause::Kind::kIdentities) {
    return absl::StrCat("identity is ", node.identity());
  }
  Evaluation evaluation(node, /*missing_is_unknown=*/false);
  return Observe(*clause.expression, &evaluation);
}

Match Target::Evaluate(const NodeView& node) const {
  const std::vector<std::string>& collectives = node.collectives();
  if (std::find(collectives.begin(), collectives.end(), collective_) == collectives.end()) {
    return {Truth::kFalse, absl::StrCat("not in collective ", collective_), false};
  }
  Evaluation evaluation(node, /*missing_is_unknown=*/false);
  Match out{Truth::kTrue, "", false};
  for (const Clause& clause : clauses_->all) {
    const Truth truth = clause.Evaluate(&evaluation, node);
    if (truth == Truth::kTrue && evaluation.failure().empty()) continue;
    Match match = MatchOf(truth, evaluation, clause);
    if (match.truth == Truth::kFalse) return match;
    // Unknown, unless a later clause is false.
    if (out.truth == Truth::kTrue) out = std::move(match);
  }
  return out;
}

std::string Target::Print() const {
  std::string out = absl::StrJoin(clauses_->all, " ", [](std::string* text, const Clause& clause) {
    absl::StrAppend(text, clause.Print());
  });
  if (collective_ != "main") absl::StrAppend(&out, out.empty() ? "" : " ", "-T ", collective_);
  return out;
}

}  // namespace orch::target
