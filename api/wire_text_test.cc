// SPDX-License-Identifier: Apache-2.0
#include "api/wire_text.h"

#include <google/protobuf/struct.pb.h>
#include <gtest/gtest.h>

#include "orch/bus/v1/reply.pb.h"
#include "orch/v1/job.pb.h"

namespace orch::api {
namespace {

using orch::bus::v1::Reply;

Reply Outcome(const std::string& message) {
  Reply reply;
  reply.set_node("web1");
  reply.set_sequence(7);
  reply.set_request_id("\xff\xfe");  // bytes: they stay
  reply.mutable_outcome()->set_state(orch::v1::NODE_STATE_FAILED);
  reply.mutable_outcome()->set_message(message);
  reply.mutable_outcome()->mutable_result()->mutable_puppet_run()->add_errors()->set_message(
      "\xe9t\xe9");
  return reply;
}

TEST(WireText, WhatIsTextStaysAsItIs) {
  Reply reply = Outcome("あ");
  reply.mutable_outcome()->clear_result();
  Reply read;
  EXPECT_EQ(ParseHealing(reply.SerializeAsString(), &read), Parsed::kWhole);
  EXPECT_EQ(read.SerializeAsString(), reply.SerializeAsString());
  EXPECT_EQ(SerializeHealing(reply), reply.SerializeAsString());
}

TEST(WireText, OtherBytesAreReplacedAndHideNothingElse) {
  const std::string bytes = Outcome(std::string(4095, 'a') + "\xc3").SerializeAsString();
  EXPECT_FALSE(Reply().ParseFromString(bytes)) << "else nobody needs this";
  Reply read;
  ASSERT_EQ(ParseHealing(bytes, &read), Parsed::kHealed);
  EXPECT_EQ(read.outcome().message(), std::string(4095, 'a') + "\xef\xbf\xbd");
  EXPECT_EQ(read.outcome().result().puppet_run().errors(0).message(), "\xef\xbf\xbdt\xef\xbf\xbd");
  EXPECT_EQ(read.outcome().state(), orch::v1::NODE_STATE_FAILED);
  EXPECT_EQ(read.request_id(), "\xff\xfe");
  EXPECT_EQ(read.sequence(), 7u);
}

TEST(WireText, WhatIsWrittenCanBeReadBack) {
  const Reply reply = Outcome("\xe3\x81");
  Reply read;
  ASSERT_TRUE(read.ParseFromString(SerializeHealing(reply)));
  EXPECT_EQ(read.outcome().message(), "\xef\xbf\xbd\xef\xbf\xbd");
}

TEST(WireText, KeysAndValuesOfMaps) {
  google::protobuf::Struct facts;
  (*facts.mutable_fields())["\xff"].set_string_value("\xfe");
  (*facts.mutable_fields())["a"].set_number_value(0.5);
  google::protobuf::Struct read;
  ASSERT_EQ(ParseHealing(facts.SerializeAsString(), &read), Parsed::kHealed);
  EXPECT_EQ(read.fields().at("\xef\xbf\xbd").string_value(), "\xef\xbf\xbd");
  EXPECT_EQ(read.fields().at("a").number_value(), 0.5);
}

TEST(WireText, FieldsThatNobodyKnowsStay) {
  Reply reply = Outcome("\xff");
  reply.GetReflection()->MutableUnknownFields(&reply)->AddLengthDelimited(999, "\xff");
  reply.GetReflection()->MutableUnknownFields(&reply)->AddFixed32(998, 5);
  reply.GetReflection()->MutableUnknownFields(&reply)->AddFixed64(997, 6);
  Reply read;
  ASSERT_EQ(ParseHealing(reply.SerializeAsString(), &read), Parsed::kHealed);
  EXPECT_EQ(read.GetReflection()->GetUnknownFields(read).field_count(), 3);
}

TEST(WireText, WhatIsNoMessageIsBroken) {
  Reply read;
  for (const std::string& bytes :
       {std::string("\xff\xff\xff"), Outcome("\xff").SerializeAsString().substr(0, 20),
        std::string("\x0b"), std::string("\x12\xff\xff\xff\xff\x0f", 6)}) {
    EXPECT_EQ(ParseHealing(bytes, &read), Parsed::kBroken);
    EXPECT_EQ(read.ByteSizeLong(), 0u);
  }
}

TEST(WireText, NestingIsBounded) {
  // A Value within a list within a Value …, with a bad text innermost.
  std::string wire = "\x1a\x01\xff";
  for (int i = 0; i < 200; ++i) {
    const auto around = [&wire](char tag) {
      std::string length;
      for (size_t rest = wire.size();; rest >>= 7) {
        length.push_back(static_cast<char>((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0)));
        if (rest <= 0x7f) break;
      }
      wire = tag + length + wire;
    };
    around(0x0a);  // ListValue.values
    around(0x32);  // Value.list_value
  }
  google::protobuf::Value read;
  EXPECT_EQ(ParseHealing(wire, &read), Parsed::kBroken);
}

}  // namespace
}  // namespace orch::api
