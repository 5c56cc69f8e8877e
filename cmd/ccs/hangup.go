package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"go.uber.org/zap"
)

// outliveTerminal keeps the process alive when its terminal or the reader of its output goes away,
// until stop is called. SIGHUP is logged. Without a receiver for SIGPIPE, the Go runtime would end
// the process at the first write to a standard output or standard error that nobody reads. With a
// receiver, only that write fails.
func outliveTerminal(log *zap.Logger) (stop func()) {
	pipe := make(chan os.Signal, 1) // never read; a full channel drops signals
	signal.Notify(pipe, syscall.SIGPIPE)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	var logging sync.WaitGroup
	logging.Go(func() {
		for range hangup {
			log.Info("SIGHUP ignored: there is nothing to reload")
		}
	})
	return func() {
		signal.Stop(hangup) // no signal is sent to it after this
		close(hangup)
		logging.Wait()
		signal.Stop(pipe)
	}
}
