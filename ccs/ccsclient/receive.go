package ccsclient

import (
	"go.uber.org/zap"

	"github.com/openccs/openccs/stanza"
)

// receiver calls back for a stanza that is not an answer, and reports whether the client must
// acknowledge it. One goroutine calls it.
type receiver func(*stanza.Outbound) (ack bool)

// receivers makes the receiver of one connection.
type receivers func(log *zap.Logger) receiver

// appServer makes receivers that call the callbacks of an app server.
func appServer(o Options) receivers {
	return func(log *zap.Logger) receiver {
		var given struct { // arguments of the callbacks: the same memory each time
			upstream Upstream
			receipt  Receipt
			control  Control
		}
		return func(out *stanza.Outbound) bool {
			switch out.Type {
			case stanza.TypeReceipt:
				given.receipt = receiptOf(out)
				o.OnReceipt(&given.receipt)
				return true
			case stanza.TypeControl:
				given.control = controlOf(out)
				o.OnControl(&given.control)
			case stanza.TypeUpstream:
				if o.OnUpstream == nil {
					return false
				}
				given.upstream = upstreamOf(out)
				return accepted(log, out, o.OnUpstream(&given.upstream))
			}
			return false
		}
	}
}

// xmppDevice makes receivers that call the callbacks of a device.
func xmppDevice(o DeviceOptions) receivers {
	return func(log *zap.Logger) receiver {
		return func(out *stanza.Outbound) bool {
			switch out.Type {
			case stanza.TypeUpstream:
				if o.OnMessage == nil {
					return false
				}
				m := deliveryOf(out)
				return accepted(log, out, o.OnMessage(&m))
			case stanza.TypeDeletedMessages:
				m := deletedOf(out)
				o.OnDeleted(&m)
				return true
			case stanza.TypeSendError:
				m := sendErrorOf(out)
				o.OnSendError(&m)
				return true
			case stanza.TypeControl:
				m := controlOf(out)
				o.OnControl(&m)
			}
			return false
		}
	}
}

func accepted(log *zap.Logger, o *stanza.Outbound, err error) bool {
	if err != nil {
		log.Warn("message not acknowledged", zap.String("message_id", o.MessageID), zap.Error(err))
	}
	return err == nil
}
