package ccstest_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccsclient"
	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
)

// sent is an answer of /gcm/send in JSON.
type sent struct {
	MulticastID  int64 `json:"multicast_id"`
	Success      int
	Failure      int
	CanonicalIDs int `json:"canonical_ids"`
	Results      []struct {
		MessageID      string `json:"message_id"`
		RegistrationID string `json:"registration_id"`
		Error          string
	}
}

// post makes a call with the key of the server's project and returns its status and its body.
// headers alternates names and values.
func post(t testing.TB, s *ccstest.Server, hc *http.Client, path, contentType, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.HTTPURL()+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "key="+s.Key)
	r.Header.Set("Content-Type", contentType)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := hc.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

// postJSON sends a JSON request that must succeed.
func postJSON(t testing.TB, s *ccstest.Server, hc *http.Client, body string) sent {
	t.Helper()
	resp, text := post(t, s, hc, "/gcm/send", "application/json", body)
	require.Equal(t, http.StatusOK, resp.StatusCode, text)
	var got sent
	require.NoError(t, json.Unmarshal([]byte(text), &got), text)
	return got
}

// httpClients returns a client for each version of HTTP, which the test closes.
func httpClients(t testing.TB, s *ccstest.Server) map[string]*http.Client {
	all := map[string]*http.Client{}
	for _, two := range []bool{false, true} {
		tr := &http.Transport{TLSClientConfig: s.TLS(), DialContext: s.Dial, ForceAttemptHTTP2: two}
		t.Cleanup(tr.CloseIdleConnections)
		all[map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[two]] = &http.Client{Timeout: patience, Transport: tr}
	}
	return all
}

func TestHTTPSend(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		_, in := receive(s, d, mcsclient.Options{})
		n := 0
		pairs := func() string { n++; return fmt.Sprintf(`"data":{"id":"%d"}`, n-1) }
		for version, hc := range httpClients(t, s) {
			one := fmt.Sprintf(`{"to":%q,%s}`, d.Token, pairs())
			resp, text := post(t, s, hc, "/fcm/send", "application/json", one)
			require.Equal(t, version, resp.Proto)
			assert.Contains(t, text, `"multicast_id":`)

			got := postJSON(t, s, hc, fmt.Sprintf(`{"registration_ids":[%q,"nobody"],%s}`, d.Token, pairs()))
			assert.Equal(t, []int{1, 1, 0}, []int{got.Success, got.Failure, got.CanonicalIDs})
			assert.Regexp(t, `^0:[0-9]{16}%[0-9a-f]{16}$`, got.Results[0].MessageID)
			assert.Equal(t, "InvalidRegistration", got.Results[1].Error)

			_, text = post(t, s, hc, "/gcm/send", "application/x-www-form-urlencoded", fmt.Sprintf("registration_id=%s&data.id=%d", d.Token, n))
			n++
			assert.Regexp(t, `^id=0:`, text)

			var zipped, deflated bytes.Buffer
			z := gzip.NewWriter(&zipped)
			fmt.Fprintf(z, `{"to":%q,%s}`, d.Token, pairs())
			require.NoError(t, z.Close())
			_, text = post(t, s, hc, "/gcm/send", "application/json", zipped.String(), "Content-Encoding", "gzip")
			assert.Contains(t, text, `"success":1`)
			l := zlib.NewWriter(&deflated)
			fmt.Fprintf(l, `{"to":%q,%s}`, d.Token, pairs())
			require.NoError(t, l.Close())
			_, text = post(t, s, hc, "/gcm/send", "application/json", deflated.String(), "Content-Encoding", "deflate", "Expect", "100-continue")
			assert.Contains(t, text, `"success":1`)

			resp, text = post(t, s, hc, "/gcm/send", "application/json", one, "Authorization", "key=wrong")
			assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
			assert.Contains(t, text, "Unauthorized")
		}
		assert.Equal(t, numbers(n), in.wait(t, n), "in the order in which they were sent")
	})
}

// A message that is sent twice is two messages: an HTTP sender names no message_id, so nothing is a
// repeat.
func TestHTTPMessagesAreNoRepeats(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		_, in := receive(s, d, mcsclient.Options{})
		hc := httpClients(t, s)["HTTP/1.1"]
		for range 3 {
			assert.Equal(t, 1, postJSON(t, s, hc, fmt.Sprintf(`{"to":%q,"data":{"id":"same"}}`, d.Token)).Success)
		}
		got := postJSON(t, s, hc, fmt.Sprintf(`{"registration_ids":[%q,%q],"data":{"id":"same"}}`, d.Token, d.Token))
		assert.Equal(t, 2, got.Success)
		assert.NotEqual(t, got.Results[0].MessageID, got.Results[1].MessageID)
		in.wait(t, 5)
	})
}

// Both doors have one router: messages of both collapse each other.
func TestHTTPAndXMPPShareTheQueue(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		d := s.Enrol("com.example.app")
		c := s.AppServer(ccsclient.Options{})
		hc := httpClients(t, s)["HTTP/1.1"]
		m := message(d.Token, "xmpp")
		m.CollapseKey = "score"
		_, err := c.SendWait(t.Context(), m)
		require.NoError(t, err)
		postJSON(t, s, hc, fmt.Sprintf(`{"to":%q,"collapse_key":"score","data":{"id":"http"}}`, d.Token))
		postJSON(t, s, hc, fmt.Sprintf(`{"to":%q,"dry_run":true,"data":{"id":"dry"}}`, d.Token))
		postJSON(t, s, hc, fmt.Sprintf(`{"to":%q,"time_to_live":0,"data":{"id":"now or never"}}`, d.Token))
		postJSON(t, s, hc, fmt.Sprintf(`{"to":%q,"notification":{"title":"t","badge":3,"sound":{"name":"a"}},"content_available":true,"data":{"id":"last"}}`, d.Token))
		messages := newInbox[*mcsclient.Message]()
		s.Connect(d, mcsclient.Options{OnMessage: func(m *mcsclient.Message) { messages.add(m) }})
		got := messages.wait(t, 2)
		value := func(m *mcsclient.Message, key string) string { v, _ := m.Get(key); return v }
		var ids []string
		for _, m := range got {
			ids = append(ids, value(m, "id"))
		}
		assert.ElementsMatch(t, []string{"http", "last"}, ids)
		for _, m := range got {
			if value(m, "id") == "last" {
				assert.Equal(t, []string{"1", "t", "3", `{"name":"a"}`},
					[]string{value(m, "gcm.n.e"), value(m, "gcm.notification.title"), value(m, "gcm.notification.badge"), value(m, "gcm.notification.sound")})
			}
		}
	})
}

// A multicast to a thousand is answered in order, and each device gets its own.
func TestHTTPMulticast(t *testing.T) {
	t.Parallel()
	eachStore(t, func(t *testing.T, store ccstest.Option) {
		s := ccstest.Start(t, store)
		var devices []*ccstest.Device
		for range 3 {
			devices = append(devices, s.Enrol("com.example.app"))
		}
		var tokens []string
		for i := range 1000 {
			switch {
			case i%10 == 9:
				tokens = append(tokens, fmt.Sprint("nobody-", i))
			default:
				tokens = append(tokens, devices[i%3].Token)
			}
		}
		body, err := json.Marshal(map[string]any{"registration_ids": tokens, "data": map[string]string{"id": "x"}, "collapse_key": "k"})
		require.NoError(t, err)
		got := postJSON(t, s, httpClients(t, s)["HTTP/2.0"], string(body))
		assert.Equal(t, []int{900, 100, 0, 1000}, []int{got.Success, got.Failure, got.CanonicalIDs, len(got.Results)})
		for i, r := range got.Results {
			assert.Equal(t, i%10 == 9, r.Error == "InvalidRegistration", i)
		}
		for _, d := range devices {
			_, in := receive(s, d, mcsclient.Options{})
			assert.Equal(t, []string{"x"}, in.wait(t, 1), "the collapse key leaves one for each")
		}
	})
}

// The plain listener serves the same for a proxy that terminates TLS, and HTTP/2 with prior
// knowledge.
func TestHTTPSendWithoutTLS(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t, ccstest.InMemory, func(c *server.Config) { c.HTTPPlain = "127.0.0.1:80" })
	d := s.Enrol("com.example.app")
	for _, two := range []bool{false, true} {
		tr := &http.Transport{DialContext: s.Dial, Protocols: new(http.Protocols)}
		tr.Protocols.SetHTTP1(!two)
		tr.Protocols.SetUnencryptedHTTP2(two)
		t.Cleanup(tr.CloseIdleConnections)
		r, err := http.NewRequest(http.MethodPost, "http://127.0.0.1:80/gcm/send", strings.NewReader(fmt.Sprintf(`{"to":%q}`, d.Token)))
		require.NoError(t, err)
		r.Header.Set("Authorization", "key="+s.Key)
		r.Header.Set("Content-Type", "application/json")
		resp, err := (&http.Client{Timeout: patience, Transport: tr}).Do(r)
		require.NoError(t, err)
		assert.Equal(t, http.StatusOK, resp.StatusCode)
		require.NoError(t, resp.Body.Close())
	}
}

// A key with a list of networks works only from these, over HTTP and XMPP (CCS 6.2).
func TestAKeyWithAddressList(t *testing.T) {
	t.Parallel()
	var st store.Store
	s := ccstest.Start(t, func(c *server.Config) {
		c.Store = "disk:"
		open := c.OpenDisk
		c.OpenDisk = func(dir string) (store.Store, error) {
			var err error
			if open == nil {
				open = func(dir string) (store.Store, error) { return diskstore.Open(dir, diskstore.Options{}) }
			}
			st, err = open(dir)
			return st, err
		}
	})
	list := func(network string) {
		require.NoError(t, st.UpdateProject(t.Context(), s.Sender, func(p *store.Project) error {
			p.Keys[0].Networks = []netip.Prefix{netip.MustParsePrefix(network)}
			return nil
		}))
	}
	hc := httpClients(t, s)["HTTP/1.1"]
	list("192.0.2.0/24")
	resp, _ := post(t, s, hc, "/gcm/send", "application/json", `{"to":"x"}`)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	_, err := ccsclient.Dial(t.Context(), s.XMPPAddr(), s.Sender, s.Key, ccsclient.Options{TLS: s.TLS()})
	require.Error(t, err)
	list("127.0.0.0/8")
	resp, _ = post(t, s, hc, "/gcm/send", "application/json", `{"to":"x"}`)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	s.AppServer(ccsclient.Options{})
}

// While the server drains it answers requests and ends their connections (CCS 6.7).
func TestHTTPSendWhileDraining(t *testing.T) {
	t.Parallel()
	s := ccstest.Start(t)
	d := s.Enrol("com.example.app")
	c := s.AppServer(ccsclient.Options{})
	drained := make(chan error, 1)
	go func() { drained <- s.Drain(t.Context()) }()
	require.Eventually(t, func() bool { return s.Health() != nil }, patience, time.Millisecond)
	for version, hc := range httpClients(t, s) {
		resp, text := post(t, s, hc, "/gcm/send", "application/json", fmt.Sprintf(`{"to":%q}`, d.Token))
		assert.Equal(t, http.StatusOK, resp.StatusCode, text)
		assert.Equal(t, version == "HTTP/1.1", resp.Close, version)
	}
	require.NoError(t, c.Close())
	require.NoError(t, <-drained)
}
