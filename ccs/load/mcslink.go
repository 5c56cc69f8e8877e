package load

import (
	"strconv"

	"github.com/openccs/openccs/ccs/mcsclient"
)

// newMCSLink makes a link over MCS, which mcsclient keeps connected.
func newMCSLink(d *device) link {
	addrs := d.run.target.MCS
	return mcsclient.NewDevice(addrs[d.number%len(addrs)], d.id, mcsclient.DeviceOptions{
		Options: mcsclient.Options{
			TLS: d.run.target.TLS, Logger: d.run.log, OnMessage: d.receivedMCS, Reuse: true, DialContext: d.dial, LoginTimeout: loginTimeout,
		},
		OnConnect:    d.connected,
		OnDisconnect: d.disconnected,
		Backoff:      backoff,
	})
}

func (d *device) receivedMCS(m *mcsclient.Message) {
	if m.Type == mcsclient.TypeDeletedMessages {
		text, _ := m.Get(totalKey)
		if total, err := strconv.ParseInt(text, 10, 64); err == nil {
			d.deleted(total)
		}
		return
	}
	text, _ := m.Get(stampKey)
	d.received(text)
}
