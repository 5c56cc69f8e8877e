package ccstest_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openccs/openccs/ccs/admin"
	"github.com/openccs/openccs/ccs/mcsclient"
)

// benchHTTPSender is a connection of an app server that sends requests, one after the other.
type benchHTTPSender struct {
	endpoint
	in     *bufio.Reader
	head   string
	tokens []string
	number int // of the connection
}

func (l *load) httpSender(b testing.TB, bed *bed, number int) *benchHTTPSender {
	h := &benchHTTPSender{endpoint: l.endpoint(b, bed.trust, strings.TrimPrefix(bed.card.HTTP, "https://")), tokens: bed.tokens, number: number}
	require.NoError(b, h.nc.Handshake())
	h.in = bufio.NewReader(h.nc)
	if l.chrome {
		h.head = "POST /gcm_for_chrome/v1/messages HTTP/1.1\r\nHost: www.googleapis.com\r\nAuthorization: Bearer " + bed.access +
			"\r\nContent-Type: application/json\r\nContent-Length: "
		return h
	}
	h.head = "POST /gcm/send HTTP/1.1\r\nHost: gcm-http.googleapis.com\r\nAuthorization: key=" + bed.senders[0].APIKey +
		"\r\nContent-Type: application/json\r\nContent-Length: "
	return h
}

// sendRequests sends the messages that h.work asks for. Each request waits for the previous answer.
func (h *benchHTTPSender) sendRequests() {
	defer h.sending.Done()
	each := max(1, h.multicast)
	var out, body []byte
	for n := range h.work {
		for ; n > 0; n -= each {
			for h.arrives() && h.sent.Load()-h.got.Load() > int64(maxBehind*h.devices) {
				time.Sleep(time.Millisecond / 10)
			}
			body = h.message(body[:0])
			out = append(strconv.AppendInt(append(out[:0], h.head...), int64(len(body)), 10), "\r\n\r\n"...)
			out = append(out, body...)
			now := time.Now()
			if _, err := h.nc.Write(out); err != nil {
				h.fail(err)
				return
			}
			if err := h.answer(each); err != nil {
				h.fail(err)
				return
			}
			h.sent.Add(int64(each))
			h.mu.Lock()
			h.took = append(h.took, time.Since(now))
			h.mu.Unlock()
		}
	}
}

// message appends the body of the next request.
func (h *benchHTTPSender) message(b []byte) []byte {
	if h.chrome {
		b = append(append(b, `{"channelId":"`...), h.tokens[(h.next*h.http+h.number)%len(h.tokens)]...)
		b = strconv.AppendInt(append(b, `","subchannelId":"`...), int64(h.next%4), 10)
		h.next++
		return append(append(append(b, `","payload":"`...), h.text()...), `"}`...)
	}
	if h.multicast == 0 {
		b = append(append(b, `{"to":"`...), h.tokens[(h.next*h.http+h.number)%len(h.tokens)]...)
		b = append(b, '"')
	} else {
		b = append(b, `{"registration_ids":[`...)
		for i := range h.multicast {
			b = append(append(append(b, '"'), h.tokens[(h.next*h.multicast+i)%len(h.tokens)]...), `",`...)
		}
		b[len(b)-1] = ']'
	}
	h.next++
	return append(append(append(b, `,"time_to_live":3600,"data":{"k":"`...), h.text()...), `"}}`...)
}

// answer reads an answer, which must say that so many messages were accepted.
func (h *benchHTTPSender) answer(accepted int) error {
	length := 0
	for first := true; ; first = false {
		line, err := h.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, []byte(h.status())) {
			return fmt.Errorf("answer %q", line)
		}
		if len(line) <= 2 {
			break
		}
		if value, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return err
			}
		}
	}
	if h.chrome {
		return nil // 204 has no body
	}
	start, err := h.in.Peek(min(length, 80))
	if err != nil {
		return err
	}
	if !bytes.Contains(start, fmt.Appendf(nil, `"success":%d,"failure":0`, accepted)) {
		return fmt.Errorf("answer %s", start)
	}
	_, err = io.CopyN(io.Discard, h.in, int64(length))
	return err
}

// status is the start of an answer that accepts a request.
func (h *benchHTTPSender) status() string {
	if h.chrome {
		return "HTTP/1.1 204 "
	}
	return "HTTP/1.1 200 "
}

// openChannels makes each device the only instance of an app for a user of its own, and gets an
// access token. The tokens of the bed are then the channel IDs.
func (d *bed) openChannels(b testing.TB, projects *admin.Client) {
	ctx := context.Background()
	const app, mostPerDay = "aaaaaaaaaabbbbbbbbbbcccccccccc", 1_000_000
	require.NoError(b, projects.AddApp(ctx, d.card.SenderID, app))
	require.NoError(b, projects.SetLimits(ctx, d.card.SenderID, admin.Limits{ChromePerDay: mostPerDay}))
	made, err := projects.CreateOAuth(ctx, d.card.SenderID, admin.OAuthRequest{})
	require.NoError(b, err)
	hc := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: d.trust}}
	defer hc.CloseIdleConnections()
	resp, err := hc.PostForm(d.card.HTTP+"/o/oauth2/token", url.Values{
		"client_id": {made.ClientID}, "client_secret": {made.ClientSecret}, "refresh_token": {made.RefreshToken}, "grant_type": {"refresh_token"},
	})
	require.NoError(b, err)
	defer resp.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	require.NoError(b, json.NewDecoder(resp.Body).Decode(&answer))
	d.access = answer.AccessToken
	for i, id := range d.devices {
		d.tokens[i], err = mcsclient.RegisterChannel(ctx, hc, d.card.HTTP, id, strconv.Itoa(1+i), app)
		require.NoError(b, err)
	}
}
