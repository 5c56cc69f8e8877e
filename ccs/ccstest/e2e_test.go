//go:build e2e

package ccstest_test

import "testing"

// Unmodified devices, in processes of their own, against a whole server: what people have on their machines, and told
// nothing but where the server is (DEV 13).
func TestEndToEnd(t *testing.T) {
	done := new(steps)
	t.Cleanup(func() { t.Log("\n" + done.String()) })
	for _, api := range chromiumAPIs {
		t.Run("Chromium "+api.name, func(t *testing.T) { t.Parallel(); chromiumEndToEnd(t, done, api) })
	}
	t.Run("push-receiver", func(t *testing.T) { t.Parallel(); receiverEndToEnd(t, done) })
}
