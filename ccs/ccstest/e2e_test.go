//go:build e2e

package ccstest_test

import "testing"

// Unmodified devices, in their own processes, work with a whole server. They are programs as people
// have them, and know only where the server is (DEV 13).
func TestEndToEnd(t *testing.T) {
	done := new(steps)
	t.Cleanup(func() { t.Log("\n" + done.String()) })
	for _, api := range chromiumAPIs {
		t.Run("Chromium "+api.name, func(t *testing.T) { t.Parallel(); chromiumEndToEnd(t, done, api) })
	}
	t.Run("Chromium chrome.pushMessaging", func(t *testing.T) { t.Parallel(); pushMessagingEndToEnd(t, done) })
	t.Run("push-receiver", func(t *testing.T) { t.Parallel(); receiverEndToEnd(t, done) })
}
