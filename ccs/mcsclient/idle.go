package mcsclient

import (
	"strconv"

	"github.com/openccs/openccs/ccs/mcs"
)

// SetIdle tells the server whether the device is idle. Messages with delay_while_idle wait until
// it is not (CCS 5.4, DEV 9.4). The setting is valid for this connection; a new connection begins
// as not idle.
func (c *Client) SetIdle(idle bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.writeLocked(func(b []byte, last int32) []byte {
		return mcs.AppendDataMessage(b, &mcs.DataMessage{
			From: "gcm@android.com", Category: mcs.SystemCategory, LastStreamID: last, HasTTL: true,
			AppData: []mcs.KV{{Key: mcs.KeyIdleNotification, Value: strconv.FormatBool(idle)}},
		})
	})
	return nil
}
