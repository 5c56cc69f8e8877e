package ccstest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/stretchr/testify/require"
)

// census is a report of a server process on itself, after a garbage collection.
type census struct {
	Goroutines int
	Heap       uint64 // bytes of spans in use
	Stack      uint64
}

// answerCensus makes the server process answer each line on its standard input, until that ends.
func answerCensus(in io.Reader, out io.Writer) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		json.NewEncoder(out).Encode(census{runtime.NumGoroutine(), m.HeapInuse, m.StackInuse})
	}
}

// weigh returns the resident memory of the server in KiB, and its census.
func (v *victim) weigh() (rss int, c census) {
	v.t.Helper()
	_, err := io.WriteString(v.in, "\n")
	require.NoError(v.t, err)
	require.NoError(v.t, v.out.Decode(&c))
	return v.rss(), c
}

// rss returns the resident memory of the server in KiB, without a collection.
func (v *victim) rss() (rss int) {
	v.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", v.cmd.Process.Pid))
	if err != nil {
		v.t.Skip("resident memory is read from /proc: ", err)
	}
	_, value, ok := strings.Cut(string(status), "VmRSS:")
	require.True(v.t, ok)
	_, err = fmt.Sscan(value, &rss)
	require.NoError(v.t, err)
	return rss
}
