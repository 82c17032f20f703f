// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/config.h"
#include "test/testing/test_ca.h"
#include "trust/identity.h"

// Files that change, and revocation lists that come over the bus.

namespace orch::trust {
namespace {

using orch::testing::Certificate;
using orch::testing::NewCredentials;
using orch::testing::NewTestDirectory;
using orch::testing::TestCa;
using orch::testing::WriteTrust;

class ReloadTest : public ::testing::Test {
 protected:
  TestCa ca_;
  std::string directory_ = NewTestDirectory();
  TrustConfig config_ = WriteTrust(&ca_, "ops1", Role::kController, directory_);
  std::shared_ptr<Credentials> mine_ = *Credentials::Load(config_, absl::Now());

  static void Write(const std::string& path, const std::string& content, int mode = 0600) {
    ASSERT_TRUE(base::WriteFileAtomically(path, content, mode).ok());
  }
  void Use(const Certificate& certificate) {
    Write(config_.certificate(), certificate.pem);
    Write(config_.private_key(), certificate.key_pem);
  }
  absl::StatusOr<bool> Reload() { return mine_->Reload(absl::Now()); }
  absl::Status Open(const std::string& bytes, Refusal* refusal) {
    std::string payload;
    return mine_->Open(Domain::kReply, bytes, absl::Now(), &payload, refusal).status();
  }
  absl::Status Open(const std::string& bytes) {
    Refusal refusal;
    return Open(bytes, &refusal);
  }
};

std::string Signed(const Credentials& by, bool with_chain = true) {
  return by.Sign(Domain::kReply, "done", with_chain)->SerializeAsString();
}

TEST_F(ReloadTest, DoesNothingWithoutAChange) {
  EXPECT_FALSE(*Reload());
  EXPECT_FALSE(*Reload());
  // The same content again is no change either.
  Write(config_.ca(), ca_.pem());
  EXPECT_FALSE(*Reload());
}

TEST_F(ReloadTest, TakesANewCertificateAndKeepsReferencesToTheOld) {
  const Peer& before = mine_->self();
  const std::string old_key = before.key_id;
  Use(ca_.Issue("ops1", Role::kController));
  EXPECT_TRUE(*Reload());
  EXPECT_NE(mine_->self().key_id, old_key);
  EXPECT_EQ(before.key_id, old_key);
  EXPECT_EQ(mine_->Sign(Domain::kReply, "x", false)->key_id(), mine_->self().key_id);
  EXPECT_TRUE(Open(Signed(*mine_)).ok());
}

TEST_F(ReloadTest, TakesAllOrNothing) {
  const std::string old_key = mine_->self().key_id;
  const Certificate next = ca_.Issue("ops1", Role::kController);
  Write(config_.certificate(), next.pem);  // the key has not come yet
  const auto half = Reload();
  ASSERT_FALSE(half.ok());
  EXPECT_TRUE(absl::StrContains(half.status().message(), "does not fit")) << half.status();
  EXPECT_EQ(mine_->self().key_id, old_key);
  EXPECT_FALSE(Reload().ok()) << "it is still wrong";
  Write(config_.private_key(), next.key_pem);
  EXPECT_TRUE(*Reload());
  EXPECT_NE(mine_->self().key_id, old_key);
}

TEST_F(ReloadTest, NoticesRightsAndSwappedLinks) {
  ASSERT_EQ(mkdir((directory_ + "/..v1").c_str(), 0755), 0);
  ASSERT_EQ(mkdir((directory_ + "/..v2").c_str(), 0755), 0);
  const Certificate next = ca_.Issue("ops1", Role::kController);
  for (const std::string version : {"/..v1", "/..v2"}) {
    const bool old = version == "/..v1";
    Write(absl::StrCat(directory_, version, "/tls.crt"),
          old ? *base::ReadFile(config_.certificate()) : next.pem);
    Write(absl::StrCat(directory_, version, "/tls.key"),
          old ? *base::ReadFile(config_.private_key()) : next.key_pem);
  }
  ASSERT_EQ(symlink("..v1", (directory_ + "/..data").c_str()), 0);
  for (const auto& [path, link] : {std::pair(config_.certificate(), "..data/tls.crt"),
                                   std::pair(config_.private_key(), "..data/tls.key")}) {
    ASSERT_EQ(unlink(path.c_str()), 0);
    ASSERT_EQ(symlink(link, path.c_str()), 0);
  }
  EXPECT_FALSE(*Reload()) << "the same content behind links";
  ASSERT_EQ(symlink("..v2", (directory_ + "/..next").c_str()), 0);
  ASSERT_EQ(rename((directory_ + "/..next").c_str(), (directory_ + "/..data").c_str()), 0);
  EXPECT_TRUE(*Reload());
  ASSERT_EQ(chmod((directory_ + "/..v2/tls.key").c_str(), 0644), 0);
  EXPECT_TRUE(absl::StrContains(Reload().status().message(), "others may read"));
}

TEST_F(ReloadTest, RefusesAnotherIdentity) {
  Use(ca_.Issue("ops2", Role::kController));
  EXPECT_TRUE(absl::StrContains(Reload().status().message(), "takes a restart"));
  EXPECT_EQ(mine_->self().common_name, "ops1");
}

TEST_F(ReloadTest, ANewCrlEndsWhatWasCached) {
  const auto node = NewCredentials(&ca_, "node1", Role::kNode);
  const auto good = NewCredentials(&ca_, "node2", Role::kNode);
  ASSERT_TRUE(Open(Signed(*node)).ok());
  ASSERT_TRUE(Open(Signed(*good)).ok());
  ca_.Revoke({node->certificate_chain_pem(), "",
              node->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  Write(config_.crl(), ca_.CrlPem());
  ASSERT_TRUE(*Reload());
  Refusal refusal;
  EXPECT_FALSE(Open(Signed(*node, false), &refusal).ok());
  EXPECT_EQ(refusal, Refusal::kRevoked);
  EXPECT_FALSE(Open(Signed(*node), &refusal).ok());
  EXPECT_EQ(refusal, Refusal::kRevoked);
  EXPECT_TRUE(Open(Signed(*good, false)).ok()) << "nobody has to send the chain again";
}

TEST_F(ReloadTest, UpdateCrlTakesOnlyHigherNumbersOfATrustedCa) {
  const std::string second = ca_.CrlDer();
  const std::string third = ca_.CrlDer();
  EXPECT_TRUE(*mine_->UpdateCrl(third, absl::Now()));
  EXPECT_FALSE(*mine_->UpdateCrl(third, absl::Now()));
  EXPECT_FALSE(*mine_->UpdateCrl(second, absl::Now()));
  EXPECT_EQ(mine_->CrlNumbers()[0].second, "3");
  EXPECT_EQ(mine_->CrlsDer(), std::vector<std::string>{third});
  ca_.set_next_crl_number(10);
  EXPECT_TRUE(*mine_->UpdateCrl(ca_.CrlDer(), absl::Now())) << "10 is more than 3";
}

TEST_F(ReloadTest, UpdateCrlRefusesForgeries) {
  TestCa same_name("Test CA");
  same_name.set_next_crl_number(99);
  TestCa other("Another CA");
  const std::string before = mine_->CrlsDer()[0];
  std::string good = ca_.CrlDer();
  for (const std::string& bad :
       {same_name.CrlDer(), other.CrlDer(), std::string(), std::string("hello"), good + "x",
        good.substr(0, good.size() - 1), ca_.CrlDer(absl::Now() - absl::Hours(1))}) {
    EXPECT_FALSE(mine_->UpdateCrl(bad, absl::Now()).ok());
  }
  for (size_t i = 0; i < good.size(); ++i) {
    good[i] ^= 1;
    EXPECT_FALSE(mine_->UpdateCrl(good, absl::Now()).ok()) << "byte " << i;
    good[i] ^= 1;
  }
  EXPECT_EQ(mine_->CrlsDer(), std::vector<std::string>{before});
}

TEST_F(ReloadTest, AReloadKeepsANewerCrlFromTheBus) {
  const auto node = NewCredentials(&ca_, "node1", Role::kNode);
  const std::string old = ca_.CrlPem();
  ca_.Revoke({"", "", node->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  ASSERT_TRUE(*mine_->UpdateCrl(ca_.CrlDer(), absl::Now()));
  EXPECT_FALSE(Open(Signed(*node)).ok());
  Use(ca_.Issue("ops1", Role::kController));
  Write(config_.crl(), old);
  ASSERT_TRUE(*Reload());
  EXPECT_FALSE(Open(Signed(*node)).ok());
}

TEST_F(ReloadTest, WhenAListWasSignedSaysNothingAgainstAHigherNumber) {
  const absl::Time now = absl::Now();
  const auto node = NewCredentials(&ca_, "node1", Role::kNode);
  ca_.Revoke({"", "", node->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  EXPECT_TRUE(*mine_->UpdateCrl(ca_.CrlDer(now + absl::Seconds(20), now + absl::Hours(24)), now));
  EXPECT_FALSE(Open(Signed(*node)).ok());
  const auto good = NewCredentials(&ca_, "node2", Role::kNode);
  EXPECT_TRUE(*mine_->UpdateCrl(ca_.CrlDer(now + absl::Hours(2), now + absl::Hours(24)), now));
  EXPECT_TRUE(Open(Signed(*good)).ok());
  EXPECT_EQ(mine_->Warnings(now).size(), 1u) << "in the future: is the clock right?";
}

TEST_F(ReloadTest, AnEndedListIsTakenOnlyInThePlaceOfAnEndedOne) {
  const absl::Time later = absl::Now() + absl::Hours(24 * 400);  // the one in force has ended
  const std::string ended = ca_.CrlDer(absl::Now() - absl::Hours(2), absl::Now() - absl::Hours(1));
  EXPECT_FALSE(mine_->UpdateCrl(ended, absl::Now()).ok());
  EXPECT_TRUE(*mine_->UpdateCrl(ended, later));
}

TEST_F(ReloadTest, KnowsWhetherItIsBehind) {
  const std::string key = mine_->CrlNumbers()[0].first;
  EXPECT_FALSE(mine_->IsBehind({}));
  EXPECT_FALSE(mine_->IsBehind({{key, "1"}}));
  EXPECT_TRUE(mine_->IsBehind({{key, "2"}}));
  EXPECT_TRUE(mine_->IsBehind({{key, "10"}}));
  EXPECT_FALSE(mine_->IsBehind({{std::string(64, 'a'), "99"}})) << "of a CA that we don't trust";
  // Two CAs of one name, as Puppet makes them: each has its own number.
  TestCa next("Test CA");
  Write(config_.ca(), next.pem() + ca_.pem());
  Write(config_.crl(), *base::ReadFile(config_.crl()) + next.CrlPem());
  ASSERT_TRUE(*Reload());
  ASSERT_EQ(mine_->CrlNumbers().size(), 2u);
  EXPECT_NE(mine_->CrlNumbers()[0].first, mine_->CrlNumbers()[1].first);
}

// A running controller while the old CA ends: new lists are taken, and a judgement stays cached.
TEST_F(ReloadTest, TakesNewListsBesideAnEndedOne) {
  const absl::Time past = absl::Now() - absl::Hours(1);
  TestCa ended("Old CA", past);
  Write(config_.ca(), ended.pem() + ca_.pem());
  Write(config_.crl(), ended.CrlPem(past) + ca_.CrlPem());
  ASSERT_TRUE(Reload().ok()) << Reload().status();
  const auto node = NewCredentials(&ca_, "node1", Role::kNode);
  EXPECT_TRUE(Open(Signed(*node)).ok());
  ca_.Revoke({"", "", node->Sign(Domain::kReply, "", true)->certificate_chain(0), ""});
  Write(config_.crl(), ended.CrlPem(past) + ca_.CrlPem());
  ASSERT_TRUE(*Reload());
  Refusal refusal;
  EXPECT_FALSE(Open(Signed(*node), &refusal).ok());
  EXPECT_EQ(refusal, Refusal::kRevoked);
}

TEST_F(ReloadTest, WithoutCrlsThereIsNothingToUpdate) {
  config_.clear_crl();
  config_.set_no_crl(true);
  const auto without = *Credentials::Load(config_, absl::Now());
  EXPECT_FALSE(*without->UpdateCrl(ca_.CrlDer(), absl::Now()));
  EXPECT_TRUE(without->CrlsDer().empty());
}

TEST_F(ReloadTest, EverythingGoesOnWhileFilesChange) {
  const auto node = NewCredentials(&ca_, "node1", Role::kNode);
  const std::string reply = Signed(*node);
  std::atomic<bool> stop = false;
  std::atomic<int> opened = 0;
  std::atomic<int> failed = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        const auto envelope = mine_->Sign(Domain::kReply, "x", true);
        const bool good = Open(reply).ok() && envelope.ok() &&
                          Open(envelope->SerializeAsString()).ok() &&
                          mine_->self().common_name == "ops1" && !mine_->CrlsDer().empty();
        (good ? opened : failed)++;
      }
    });
  }
  int reloads = 0;
  for (int i = 0; i < 20; ++i) {
    Use(ca_.Issue("ops1", Role::kController));
    reloads += Reload().ok() ? 1 : 0;
    EXPECT_TRUE(*mine_->UpdateCrl(ca_.CrlDer(), absl::Now()));
  }
  while (opened < 10 && failed == 0) std::this_thread::yield();
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reloads, 20);
  EXPECT_EQ(failed, 0);
}

}  // namespace
}  // namespace orch::trust
