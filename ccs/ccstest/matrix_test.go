package ccstest_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/ccstest"
	"github.com/openccs/openccs/ccs/mcsclient"
	"github.com/openccs/openccs/ccs/server"
	"github.com/openccs/openccs/flowcontrol"
	"github.com/openccs/openccs/stanza"
	"github.com/openccs/openccs/store"
	"github.com/openccs/openccs/store/diskstore"
	"github.com/openccs/openccs/store/diskstore/disktest"
)

// badMessage is a message that every door refuses for the same reason.
type badMessage struct {
	condition string // the row of the table in CCS 8
	// json is the message without a message_id. $T is a good token; $GONE, $OTHER and $RATE are
	// tokens for other rows.
	json  string
	form  string // the same as a form; "" if a form cannot say it
	store string // "broken" or "faulty" while it is sent
}

var long = strings.Repeat("x", 4097)

var badMessages = []badMessage{
	{condition: "no target", json: `{}`, form: "data.k=v"},
	{condition: "no target", json: `{"to":""}`, form: "registration_id="},
	{condition: "no target", json: `{"to":null,"data":{"k":"v"}}`},
	{condition: "malformed token", json: `{"to":"nobody"}`, form: "registration_id=nobody"},
	{condition: "unregistered", json: `{"to":"$GONE"}`, form: "registration_id=$GONE"},
	{condition: "wrong package", json: `{"to":"$T","restricted_package_name":"com.example.other"}`, form: "registration_id=$T&restricted_package_name=com.example.other"},
	{condition: "wrong sender", json: `{"to":"$OTHER"}`, form: "registration_id=$OTHER"},
	{condition: "bad JSON / types", json: `{"to":"$T",}`},
	{condition: "bad JSON / types", json: `{"to":5}`},
	{condition: "bad JSON / types", json: `{"to":"$T","data":"abc"}`},
	{condition: "bad JSON / types", json: `{"to":"$T","data":["abc"]}`},
	{condition: "bad JSON / types", json: `{"to":"$T","notification":"abc"}`},
	{condition: "bad JSON / types", json: `{"to":"$T","notification":{"badge":true}}`},
	{condition: "bad JSON / types", json: `{"to":"$T","notification":{"sound":5}}`},
	{condition: "bad JSON / types", json: `{"to":"$T","notification":{"title_loc_args":{}}}`},
	{condition: "bad JSON / types", json: `{"to":"$T","time_to_live":"abc"}`},
	{condition: "bad JSON / types", json: `{"to":"$T","time_to_live":true}`},
	{condition: "bad JSON / types", json: `{"to":"$T","collapse_key":5}`},
	{condition: "bad JSON / types", json: `{"to":"$T","collapse_key":"` + long[:257] + `"}`, form: "registration_id=$T&collapse_key=" + long[:257]},
	{condition: "bad JSON / types", json: `{"to":"$T","priority":"urgent"}`, form: "registration_id=$T&priority=urgent"},
	{condition: "bad JSON / types", json: `{"to":"$T","priority":true}`},
	{condition: "bad JSON / types", json: `{"to":"$T","restricted_package_name":5}`},
	{condition: "bad JSON / types", json: `{"to":"$T","delay_while_idle":"x"}`, form: "registration_id=$T&delay_while_idle=x"},
	{condition: "bad JSON / types", json: `{"to":"$T","dry_run":1}`, form: "registration_id=$T&dry_run=2"},
	{condition: "bad JSON / types", json: `{"to":"$T","content_available":"x"}`, form: "registration_id=$T&content_available=x"},
	{condition: "bad JSON / types", json: `{"to":"$T","mutable_content":1}`, form: "registration_id=$T&mutable_content=2"},
	{condition: "bad JSON / types", json: `{"to":"$T","condition":"'a' in topics"}`, form: "registration_id=$T&condition='a'+in+topics"},
	{condition: "bad JSON / types", json: `{"condition":"'a' in"}`, form: "condition='a'+in"},
	{condition: "too big", json: `{"to":"$T","data":{"":"` + long + `"}}`, form: "registration_id=$T&data.k=" + long[1:]},
	{condition: "too big", json: `{"to":"$T","data":{"k":"` + long[2:] + `"},"notification":{"title":"t"}}`, form: "registration_id=$T&data.k=" + long[2:] + "&notification.title=t"},
	{condition: "too big", json: `{"to":"/topics/news","data":{"k":"` + long[:2048] + `"}}`, form: "to=/topics/news&data.k=" + long[:2048]},
	{condition: "bad data key", json: `{"to":"$T","data":{"from":"x"}}`, form: "registration_id=$T&data.from=x"},
	{condition: "bad data key", json: `{"to":"$T","data":{"message_type":"x"}}`, form: "registration_id=$T&data.message_type=x"},
	{condition: "bad data key", json: `{"to":"$T","data":{"google":"x"}}`, form: "registration_id=$T&data.google=x"},
	{condition: "bad data key", json: `{"to":"$T","data":{"gcm":"x"}}`, form: "registration_id=$T&data.gcm=x"},
	{condition: "bad data key", json: `{"to":"$T","data":{"google.x":"x"}}`, form: "registration_id=$T&data.google.x=x"},
	{condition: "bad data key", json: `{"to":"$T","data":{"\u0067cm.x":"x"}}`, form: "registration_id=$T&data.%67cm.x=x"},
	{condition: "bad TTL", json: `{"to":"$T","time_to_live":-1}`, form: "registration_id=$T&time_to_live=-1"},
	{condition: "bad TTL", json: `{"to":"$T","time_to_live":2419201}`, form: "registration_id=$T&time_to_live=2419201"},
	{condition: "bad TTL", json: `{"to":"$T","time_to_live":"2419201"}`, form: "registration_id=$T&time_to_live=abc"},
	{condition: "bad TTL", json: `{"to":"$T","time_to_live":1.5}`, form: "registration_id=$T&time_to_live=1.5"},
	{condition: "bad TTL", json: `{"to":"$T","time_to_live":1e3}`, form: "registration_id=$T&time_to_live=1e3"},
	{condition: "overload, timeout", json: `{"to":"$T"}`, form: "registration_id=$T", store: "broken"},
	{condition: "fault", json: `{"to":"$T"}`, form: "registration_id=$T", store: "faulty"},
	{condition: "device rate", json: `{"to":"$RATE"}`, form: "registration_id=$RATE"},
}

// badChromeMessage is a message of GCM for Chrome, which has only some of the conditions.
type badChromeMessage struct {
	condition string // the row of the table in CCS 8
	row       string // how the row of the table in CCS 7.4 begins
	body      string // $CH is a good channel
	store     string // "broken" or "faulty" while it is sent
}

var badChromeMessages = []badChromeMessage{
	{condition: "no target", row: "(body is no JSON object", body: `{"subchannelId":"0","payload":"x"}`},
	{condition: "malformed token", row: "Channel ID is invalid.", body: `{"channelId":"nobody","subchannelId":"0","payload":"x"}`},
	{condition: "malformed token", row: "Channel ID is invalid.", body: `{"channelId":"1/` + chromeApp + `","subchannelId":"0","payload":"x"}`},
	{condition: "wrong sender", row: "Google Account calling", body: `{"channelId":"` + chromeUser + `/bbbbbbbbbbccccccccccdddddddddd","subchannelId":"0","payload":"x"}`},
	{condition: "bad JSON / types", row: "(body is no JSON object", body: `{"channelId":"$CH",}`},
	{condition: "bad JSON / types", row: "(body is no JSON object", body: `{"channelId":5,"subchannelId":"0","payload":"x"}`},
	{condition: "bad JSON / types", row: "(body is no JSON object", body: `{"channelId":"$CH","subchannelId":"0","payload":5}`},
	{condition: "bad JSON / types", row: "Subchannel is invalid", body: `{"channelId":"$CH","subchannelId":"4","payload":"x"}`},
	{condition: "too big", row: "Payload is too long", body: `{"channelId":"$CH","subchannelId":"0","payload":"` + long[:257] + `"}`},
	{condition: "overload, timeout", row: "service down", body: `{"channelId":"$CH","subchannelId":"0","payload":"x"}`, store: "broken"},
	{condition: "fault", row: "An internal error has occurred.", body: `{"channelId":"$CH","subchannelId":"0","payload":"x"}`, store: "faulty"},
}

// chromeRows reads the table of CCS 7.4: the cells of the status and the reason by message.
func chromeRows(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile("../docs/spec/ccs.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(text), "\n### 7.4 ")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n### ")
	rows := map[string][2]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 4 {
			rows[strings.TrimSpace(cells[1])] = [2]string{cells[2], cells[3]}
		}
	}
	return rows
}

// TestMatrixOfChrome sends bad messages of GCM for Chrome to both revisions, and compares each
// answer with the table of CCS 7.4.
func TestMatrixOfChrome(t *testing.T) {
	t.Parallel()
	spec, rows := specRows(t), chromeRows(t)
	m := newMatrix(t)
	app := newChromeSender(t, m.s, chromeApp)
	instanceOf(t, m.s)
	lines := []string{fmt.Sprintf("%-18s %-20s %s", "condition", "Chrome", "message")}
	for _, bad := range badChromeMessages {
		require.Contains(t, spec, bad.condition, "no row of the table in CCS 8")
		var row [2]string
		for text, cells := range rows {
			if strings.HasPrefix(text, bad.row) {
				row = cells
			}
		}
		require.NotEmpty(t, row[0], bad.row)
		for _, path := range []string{"/chromewebstore/v1.1/notifications", "/gcm_for_chrome/v1/messages"} {
			m.store.mode.Store(bad.store)
			status, reason := m.chrome(app, path, bad.body)
			m.store.mode.Store("")
			assert.Contains(t, row[0], strconv.Itoa(status), "%s: %s", path, bad.body)
			assert.Contains(t, row[1], "`"+reason+"`", "%s: %s", path, bad.body)
			if path == "/gcm_for_chrome/v1/messages" {
				lines = append(lines, fmt.Sprintf("%-18s %-20s %.90s", bad.condition, fmt.Sprint(status, " ", reason), bad.body))
			}
		}
	}
	t.Logf("\n%s", strings.Join(lines, "\n"))
}

// chrome sends a message of GCM for Chrome and returns the status and the reason of the refusal.
func (m *matrix) chrome(app *chromeSender, path, body string) (status int, reason string) {
	req, err := http.NewRequest(http.MethodPost, m.s.HTTPURL()+path, strings.NewReader(strings.ReplaceAll(body, "$CH", chromeID)))
	require.NoError(m.t, err)
	req.Header.Set("Authorization", "Bearer "+app.token)
	resp, err := m.hc.Do(req)
	require.NoError(m.t, err)
	defer resp.Body.Close()
	var answer struct {
		Error struct {
			Errors []struct{ Reason string }
		}
	}
	require.NoError(m.t, json.NewDecoder(resp.Body).Decode(&answer), resp.Status)
	require.Len(m.t, answer.Error.Errors, 1)
	return resp.StatusCode, answer.Error.Errors[0].Reason
}

// faultyStore fails in ways that no sender is at fault for.
type faultyStore struct {
	*diskstore.Store
	mode atomic.Value // "", "broken" or "faulty"
}

func (s *faultyStore) err() error {
	switch s.mode.Load() {
	case "broken":
		return fmt.Errorf("test: %w", store.ErrUnavailable)
	case "faulty":
		return errors.New("test: a fault")
	}
	return nil
}

// Put implements store.Queue.
func (s *faultyStore) Put(ctx context.Context, batch []store.Entry, now time.Time) ([]store.Outcome, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Put(ctx, batch, now)
}

// specRows reads the table of CCS 8: the cells of XMPP and HTTP by condition.
func specRows(t *testing.T) map[string][2]string {
	t.Helper()
	text, err := os.ReadFile("../docs/spec/ccs.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(text), "\n## 8. ")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n---")
	rows := map[string][2]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) > 4 {
			rows[strings.TrimSpace(cells[1])] = [2]string{cells[2], cells[3]}
		}
	}
	return rows
}

var cellWord = regexp.MustCompile("`([A-Za-z_-]+)`|\\b([1-5][0-9][0-9])\\b")

// allows reports whether a cell of the table has every word of an answer.
func allows(cell, answer string) bool {
	words := map[string]bool{}
	for _, m := range cellWord.FindAllStringSubmatch(cell, -1) {
		words[m[1]+m[2]] = true
	}
	for word := range strings.FieldsSeq(answer) {
		if !words[word] {
			return false
		}
	}
	return answer != ""
}

// CCS 8, 6.7, 3.3: one function decides about a message, and the doors only spell. Each bad message
// goes through each door, and each answer is compared with the table.
func TestMatrixOfRefusals(t *testing.T) {
	t.Parallel()
	rows := specRows(t)
	m := newMatrix(t)
	var lines []string
	for _, bad := range badMessages {
		spec, ok := rows[bad.condition]
		require.True(t, ok, "%s is no row of the table", bad.condition)
		m.store.mode.Store(bad.store)
		cells := []string{m.xmpp(bad.json), m.json(bad.json), m.form(bad.form)}
		m.store.mode.Store("")
		assert.True(t, allows(spec[0], cells[0]), "XMPP: %s: %s: %q is not in %q", bad.condition, bad.json, cells[0], spec[0])
		assert.True(t, allows(spec[1], cells[1]), "JSON: %s: %s: %q is not in %q", bad.condition, bad.json, cells[1], spec[1])
		if bad.form != "" {
			assert.True(t, allows(spec[1], cells[2]), "form: %s: %s: %q is not in %q", bad.condition, bad.form, cells[2], spec[1])
		}
		shown := bad.json
		if len(shown) > 60 {
			shown = shown[:60] + "…"
		}
		lines = append(lines, fmt.Sprintf("%-18s %-30s %-26s %-26s %s", bad.condition, cells[0], cells[1], cells[2], shown))
	}
	assert.Equal(t, "stanza-error-400", m.rawXMPP(`{"to":"x"`), "without a message_id")
	assert.Equal(t, "BAD_ACK", m.rawXMPP(`{"message_type":"ack","message_id":"m"}`))
	assert.Equal(t, "stanza-error-406", m.rawXMPP(`{"message_type":"ack","message_id":"m","to":"x"}`))
	t.Logf("\n%-18s %-30s %-26s %-26s %s\n%s", "condition", "XMPP", "HTTP JSON", "HTTP form", "message", strings.Join(lines, "\n"))
}

// matrix is a server with what bad messages need.
type matrix struct {
	t      *testing.T
	s      *ccstest.Server
	store  *faultyStore
	hc     *http.Client
	tokens *strings.Replacer
	nc     *tls.Conn
	in     *stanza.Reader
	n      int
}

func newMatrix(t *testing.T) *matrix {
	m := &matrix{t: t, store: &faultyStore{}}
	m.store.mode.Store("")
	disk := disktest.New(1 << 40)
	m.s = ccstest.Start(t, ccstest.Disk, func(c *server.Config) {
		c.OpenDisk = func(dir string) (store.Store, error) {
			st, err := diskstore.Open(dir, diskstore.Options{}.WithFS(disk))
			m.store.Store = st
			return m.store, err
		}
		c.Profile.DeviceRate = flowcontrol.Rate{Every: time.Hour, Burst: 200}
	})
	good, gone, rated := m.s.Enrol("com.example.app"), m.s.Enrol("com.example.app"), m.s.Enrol("com.example.app")
	require.NoError(t, mcsclient.Unregister(t.Context(), m.s.HTTP(), m.s.HTTPURL(), gone.Identity, mcsclient.Registration{App: gone.App}))
	require.NoError(t, m.store.CreateProject(t.Context(), &store.Project{Sender: "999", Created: time.Now()}))
	other, err := mcsclient.Register(t.Context(), m.s.HTTP(), m.s.HTTPURL(), good.Identity, mcsclient.Registration{App: "com.example.second", Senders: []string{"999"}})
	require.NoError(t, err)
	m.tokens = strings.NewReplacer("$T", good.Token, "$GONE", gone.Token, "$OTHER", other, "$RATE", rated.Token)
	tr := &http.Transport{TLSClientConfig: m.s.TLS()}
	t.Cleanup(tr.CloseIdleConnections)
	m.hc = &http.Client{Timeout: patience, Transport: tr}
	m.login()
	list := make([]string, 200)
	for i := range list {
		list[i] = rated.Token
	}
	body, err := json.Marshal(map[string]any{"registration_ids": list})
	require.NoError(t, err)
	require.Equal(t, 200, postJSON(t, m.s, m.hc, string(body)).Success)
	return m
}

// login opens an XMPP session that may send anything.
func (m *matrix) login() {
	nc, err := tls.Dial("tcp", m.s.XMPPAddr(), m.s.TLS())
	require.NoError(m.t, err)
	m.t.Cleanup(func() { nc.Close() })
	m.nc, m.in = nc, stanza.NewReader(nc, stanza.AfterBind)
	auth := base64.StdEncoding.EncodeToString([]byte("\x00" + m.s.Sender + "\x00" + m.s.Key))
	const open = `<stream:stream to="gcm.googleapis.com" version="1.0" xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">`
	var e stanza.Element
	for _, step := range []string{
		open, `<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">` + auth + `</auth>`,
		open, `<iq type="set" id="b"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></iq>`,
	} {
		_, err := nc.Write([]byte(step))
		require.NoError(m.t, err)
		if step == open {
			_, err = m.in.Header()
			require.NoError(m.t, err)
		}
		require.NoError(m.t, m.in.Next(&e))
	}
}

// xmpp sends a message and returns the code of the nack.
func (m *matrix) xmpp(message string) string {
	m.n++
	body := fmt.Sprintf(`{"message_id":"m-%d"`, m.n)
	if message != "{}" {
		body += ","
	}
	return m.rawXMPP(body + message[1:])
}

// rawXMPP sends a payload and returns the code of the nack, or the number of the stanza error.
func (m *matrix) rawXMPP(payload string) string {
	m.nc.SetDeadline(time.Now().Add(patience))
	_, err := m.nc.Write(append(stanza.AppendEscaped([]byte(`<message><gcm xmlns="google:mobile:data">`), m.tokens.Replace(payload)), `</gcm></message>`...))
	require.NoError(m.t, err)
	var e stanza.Element
	require.NoError(m.t, m.in.Next(&e))
	if e.Type == "error" {
		code := regexp.MustCompile(`code="([0-9]+)"`).FindSubmatch(e.Raw)
		require.Len(m.t, code, 2)
		return "stanza-error-" + string(code[1])
	}
	var o stanza.Outbound
	require.NoError(m.t, stanza.DecodeOutbound(e.Payload, &o))
	if o.Type != stanza.TypeNack {
		return "accepted"
	}
	return string(o.Error)
}

// json sends a message over HTTP and returns the error word, with the status if that is not 200.
func (m *matrix) json(message string) string {
	resp, text := post(m.t, m.s, m.hc, "/gcm/send", "application/json", m.tokens.Replace(message))
	return m.http(resp, text)
}

// form sends a message as a form.
func (m *matrix) form(message string) string {
	if message == "" {
		return "–"
	}
	resp, text := post(m.t, m.s, m.hc, "/gcm/send", "application/x-www-form-urlencoded", m.tokens.Replace(message))
	return m.http(resp, text)
}

var errorWord = regexp.MustCompile(`"error":"([A-Za-z]+)"|^Error=([A-Za-z]+)$|^(Unavailable|InternalServerError)$`)

func (m *matrix) http(resp *http.Response, text string) string {
	var words []string
	if resp.StatusCode != http.StatusOK {
		words = append(words, strconv.Itoa(resp.StatusCode))
	}
	if found := errorWord.FindStringSubmatch(text); found != nil {
		words = append(words, found[1]+found[2]+found[3])
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		assert.Regexp(m.t, `^[1-9][0-9]*$`, resp.Header.Get("Retry-After"))
	}
	if len(words) == 0 {
		return "accepted"
	}
	return strings.Join(words, " ")
}
