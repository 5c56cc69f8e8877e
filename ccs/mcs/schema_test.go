package mcs_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// schema is mcs.proto, which lets tests compare the hand-written codec with the reference
// implementation.
type schema struct {
	protoreflect.FileDescriptor
}

func loadSchema(t testing.TB) schema {
	t.Helper()
	text, err := os.Open("mcs.proto")
	require.NoError(t, err)
	defer func() { _ = text.Close() }()

	file := &descriptorpb.FileDescriptorProto{
		Name:    proto.String("mcs.proto"),
		Package: proto.String("openccs.mcs"),
		Syntax:  proto.String("proto2"),
	}
	var message *descriptorpb.DescriptorProto
	for lines := bufio.NewScanner(text); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "//")
		words := strings.Fields(strings.TrimRight(strings.TrimSpace(line), ";"))
		switch {
		case len(words) == 0 || words[0] == "syntax" || words[0] == "package" || words[0] == "}":
		case words[0] == "message":
			message = &descriptorpb.DescriptorProto{Name: proto.String(words[1])}
			file.MessageType = append(file.MessageType, message)
		case len(words) == 5: // label type name = number
			message.Field = append(message.Field, fieldOf(t, words))
		default:
			t.Fatalf("mcs.proto: cannot read %q", lines.Text())
		}
	}
	fd, err := protodesc.NewFile(file, new(protoregistry.Files))
	require.NoError(t, err)
	return schema{fd}
}

func fieldOf(t testing.TB, words []string) *descriptorpb.FieldDescriptorProto {
	t.Helper()
	number, err := strconv.ParseInt(words[4], 10, 32)
	require.NoError(t, err)
	f := &descriptorpb.FieldDescriptorProto{Name: proto.String(words[2]), Number: proto.Int32(int32(number))}
	label, ok := descriptorpb.FieldDescriptorProto_Label_value["LABEL_"+strings.ToUpper(words[0])]
	require.True(t, ok, words)
	f.Label = descriptorpb.FieldDescriptorProto_Label(label).Enum()
	if typ, ok := descriptorpb.FieldDescriptorProto_Type_value["TYPE_"+strings.ToUpper(words[1])]; ok {
		f.Type = descriptorpb.FieldDescriptorProto_Type(typ).Enum()
	} else {
		f.Type = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum()
		f.TypeName = proto.String(".openccs.mcs." + words[1])
	}
	return f
}

// parse decodes wire bytes by the schema. It fails on a missing required field and on an unknown
// field.
func (s schema) parse(message string, wire []byte) (*dynamicpb.Message, error) {
	m := s.message(message)
	if err := proto.Unmarshal(wire, m); err != nil {
		return nil, err
	}
	if u := m.GetUnknown(); len(u) > 0 {
		return nil, fmt.Errorf("%s: unknown fields % x", message, u)
	}
	return m, nil
}

// fromText makes a message from protobuf's text format.
func (s schema) fromText(t testing.TB, message, text string) *dynamicpb.Message {
	t.Helper()
	m := s.message(message)
	require.NoError(t, prototext.Unmarshal([]byte(text), m))
	return m
}

func (s schema) message(name string) *dynamicpb.Message {
	return dynamicpb.NewMessage(s.Messages().ByName(protoreflect.Name(name)))
}
