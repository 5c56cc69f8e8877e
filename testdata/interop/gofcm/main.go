// Command gofcm is an app server on github.com/appleboy/go-fcm, over HTTP.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/appleboy/go-fcm"
)

func main() {
	log.SetPrefix("gofcm: ")
	url, ca := flag.String("url", "", "the server"), flag.String("ca", "", "the CA to trust")
	key, token := flag.String("key", "", "the API key"), flag.String("token", "", "the device")
	flag.Parse()
	pem, err := os.ReadFile(*ca)
	if err != nil {
		log.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	hc := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	client := func(key string) *fcm.Client {
		c, err := fcm.NewClient(key, fcm.WithEndpoint(*url+"/fcm/send"), fcm.WithHTTPClient(hc))
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	send := func(id string, retries int, m *fcm.Message) *fcm.Response {
		m.Data = map[string]any{"id": id}
		got, err := client(*key).SendWithRetry(m, retries)
		if err != nil {
			log.Fatalf("%s: %v", id, err)
		}
		return got
	}
	single := send("single", 0, &fcm.Message{To: *token, Priority: "high"})
	multicast := send("multicast", 0, &fcm.Message{RegistrationIDs: append(repeat(*token, 999), "nobody")})
	topic := send("topic", 0, &fcm.Message{To: "/topics/news"})
	_, refused := client("wrong").Send(&fcm.Message{To: *token})
	retried := send("fail-once", 3, &fcm.Message{To: *token})
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"client": "github.com/appleboy/go-fcm", "version": "v0.1.6",
		"single": single.Success, "multicast": multicast.Success, "bogus": word(multicast.Results[999].Error),
		"topic": topic.MessageID > 0, "unauthorized": refused != nil && strings.Contains(refused.Error(), "401"), "retried": retried.Success,
	})
	if err != nil {
		log.Fatal(err)
	}
}

// word returns the protocol's word for the one error that is expected.
func word(err error) string {
	if err == fcm.ErrInvalidRegistration {
		return "InvalidRegistration"
	}
	return ""
}

func repeat(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}
