// Command gogcm is an app server on github.com/topfreegames/go-gcm. The library dials
// fcm-xmpp.googleapis.com:5235, whatever --addr says, and trusts the system's CAs: who runs this says otherwise
// by a hosts file and SSL_CERT_FILE.
package main

import (
	"io"
	"log"

	logrus "github.com/sirupsen/logrus"
	gcm "github.com/topfreegames/go-gcm"

	"github.com/openccs/openccs/testdata/interop/appserver"
)

// drainWatch finds what the library tells its log alone: that it was told to drain, and that it has left the
// connection for another.
type drainWatch struct{ drained, moved func() }

func (drainWatch) Levels() []logrus.Level { return []logrus.Level{logrus.WarnLevel} }

func (w drainWatch) Fire(e *logrus.Entry) error {
	switch e.Message {
	case "gcm xmpp connection draining requested":
		w.drained()
	case "gcm xmpp client replaced":
		w.moved()
	}
	return nil
}

func main() {
	log.SetPrefix("gogcm: ")
	o := appserver.ParseFlags()
	logrus.SetOutput(io.Discard)

	var client gcm.Client
	app := appserver.New("github.com/topfreegames/go-gcm", "github.com/topfreegames/go-gcm", o, func(m *appserver.Message) error {
		data := gcm.Data{}
		for k, v := range m.Data {
			data[k] = v
		}
		_, _, err := client.SendXMPP(gcm.XMPPMessage{To: m.To, MessageID: m.ID, Data: data, DeliveryReceiptRequested: m.ReceiptWanted})
		return err
	})
	logrus.AddHook(drainWatch{drained: app.Drained, moved: app.Ended})
	client, err := gcm.NewClient(&gcm.Config{SenderID: o.Sender, APIKey: o.Key, MonitorConnection: true}, func(m gcm.CCSMessage) error {
		data := map[string]string{}
		for k, v := range m.Data {
			data[k], _ = v.(string)
		}
		// The library acknowledges by itself, and drops the type of the stanza; but only an error brings an ack
		// of ours back.
		stanzaType := ""
		if m.MessageType == "ack" && m.From == "" {
			stanzaType = "error"
		}
		app.HandleMessage(stanzaType, &appserver.Message{ID: m.MessageID, Type: m.MessageType, From: m.From, Error: m.Error, Data: data})
		return nil
	})
	if err != nil {
		log.Fatal("log in: ", err)
	}
	app.Run("moved")
}
