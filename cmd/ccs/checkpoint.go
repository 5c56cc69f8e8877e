package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/openccs/openccs/ccs/card/atomicfile"
)

// checkpointEvery is the minimum time between two writes of the checkpoint. Copying a page twice is
// harmless.
const checkpointEvery = time.Second

// checkpoint is the progress of a copy. Its file exists until the copy is done.
type checkpoint struct {
	path    string
	resumed bool // the file existed
	saved   time.Time

	Copy   string `json:"copy"` // hash of both ends, since URLs may contain passwords
	Next   string `json:"next"` // position at which the dump of the source continues
	Counts counts `json:"counts"`
	Queue  string `json:"queue"` // queue that was counted last
}

// openCheckpoint reads the checkpoint of a copy, or begins one if there is none.
func openCheckpoint(path string, from, to side) (*checkpoint, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", from.name(), to.name()))
	c := &checkpoint{path: path}
	b, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.Copy = hex.EncodeToString(sum[:])
		return c, nil
	case err == nil:
		err = json.Unmarshal(b, c)
	}
	if err == nil && c.Copy != hex.EncodeToString(sum[:]) {
		err = errors.New("it belongs to a copy between other stores")
	}
	if err != nil {
		return nil, &hintedError{err: fmt.Errorf("checkpoint %s: %w", path, err), hint: "name another file with --checkpoint, or finish or give up that copy and remove the file"}
	}
	c.resumed = true
	return c, nil
}

// begin resets the checkpoint, because the target has no data of an earlier copy any more.
func (c *checkpoint) begin() error {
	c.resumed, c.Next, c.Counts, c.Queue = false, "", counts{}, ""
	return c.save()
}

// save writes the checkpoint.
func (c *checkpoint) save() error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := atomicfile.Write(c.path, append(b, '\n'), 0o600); err != nil {
		return &hintedError{err: fmt.Errorf("checkpoint: %w", err), hint: "name a file that can be written with --checkpoint"}
	}
	c.saved = time.Now()
	return nil
}

// saveNowAndThen writes the checkpoint if checkpointEvery has passed since the last write.
func (c *checkpoint) saveNowAndThen() error {
	if time.Since(c.saved) < checkpointEvery {
		return nil
	}
	return c.save()
}

// remove removes the file after the copy is done.
func (c *checkpoint) remove() error {
	if err := os.Remove(c.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
