package mcs_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/openccs/openccs/ccs/mcs"
)

// vector is a file of testdata/mcs; its README explains the keys.
type vector struct {
	header map[string]string
	bytes  []byte
}

func loadVector(t *testing.T, path string) vector {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	head, body, ok := strings.Cut(string(text), "\n\n")
	require.True(t, ok, "no empty line")
	v := vector{header: map[string]string{}}
	for line := range strings.Lines(head) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		require.True(t, ok, line)
		v.header[key] += value + " "
	}
	for key, value := range v.header {
		v.header[key] = strings.TrimSpace(value)
	}
	digits := new(strings.Builder)
	for line := range strings.Lines(body) {
		code, _, _ := strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(code), ""))
	}
	v.bytes, err = hex.DecodeString(digits.String())
	require.NoError(t, err)
	return v
}

func TestVectors(t *testing.T) {
	s := loadSchema(t)
	structs := map[string]func() message{
		"Heartbeat":         func() message { return new(mcs.Heartbeat) },
		"LoginRequest":      func() message { return new(mcs.LoginRequest) },
		"LoginResponse":     func() message { return new(mcs.LoginResponse) },
		"IqStanza":          func() message { return new(mcs.IqStanza) },
		"DataMessageStanza": func() message { return new(mcs.DataMessage) },
		"StreamErrorStanza": func() message { return new(mcs.StreamError) },
		"CheckinRequest":    func() message { return new(mcs.CheckinRequest) },
		"CheckinResponse":   func() message { return new(mcs.CheckinResponse) },
	}
	paths, err := filepath.Glob("../../testdata/mcs/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := loadVector(t, path)
			name := v.header["message"]
			if size := v.header["size"]; size != "" {
				assert.Equal(t, size, strconv.Itoa(len(v.bytes)))
			}
			payload := v.bytes
			if tag := v.header["tag"]; tag != "" {
				var got mcs.Tag
				got, payload, err = mcs.NewReader(bytes.NewReader(v.bytes), mcs.MaxFrame).Next()
				require.NoError(t, err)
				assert.Equal(t, tag, strconv.Itoa(int(got)))
				assert.True(t, bytes.HasSuffix(v.bytes, payload), "one frame and nothing behind it")
			}
			said, err := s.parse(name, payload)
			require.NoError(t, err)
			want := s.fromText(t, name, v.header["want"])
			assert.True(t, proto.Equal(want, said), "want %v\ngot  %v", want, said)

			fresh, ok := structs[name]
			if !ok { // a Close is an empty frame and no struct
				assert.Empty(t, payload)
				return
			}
			m := fresh()
			require.NoError(t, m.Unmarshal(payload))
			if v.header["exact"] == "yes" {
				assert.Equal(t, hex.EncodeToString(payload), hex.EncodeToString(m.Append(nil)))
				return
			}
			again := fresh()
			require.NoError(t, again.Unmarshal(m.Append(nil)))
			assert.Equal(t, m, again)
		})
	}
}
