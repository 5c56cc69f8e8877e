package diskstore

import (
	"context"
	"errors"
	"fmt"
)

// check reads all files before the engine does, because the engine takes some damage for the end
// of a file and deletes files that it does not know.
func (s *Store) check(dir string) error {
	in, err := inspect(s.opts.fs, dir)
	if err != nil {
		return err
	}
	if err := in.err(); err != nil {
		return err // the engine would delete files that it cannot read
	}
	if err := in.verifyTables(context.Background(), s.opts.Report); err != nil {
		return err
	}
	if len(in.damages) > 0 && !s.opts.ServeDamaged {
		return in.err()
	}
	for _, d := range in.damages {
		s.damage.found(d)
	}
	s.inventory = in.inventory
	s.keeper.manifest = in.manifestName // the engine makes a new one only if there is a log to replay
	if in.torn != nil && in.torn.records == 0 {
		return in.cutTorn()
	}
	return nil
}

// cutTorn empties a log that has only a torn first record. The engine flushes no memtable for it.
// Otherwise the log would still be there at the next crash, and no longer be the newest.
func (in *inspection) cutTorn() error {
	name := logName(in.logs[len(in.logs)-1])
	f, err := in.fs.Create(in.fs.PathJoin(in.dir, name), "pebble-wal")
	if err != nil {
		return fmt.Errorf("empty the torn log %s: %w", name, err)
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(in.fs, in.dir)); err != nil {
		return fmt.Errorf("empty the torn log %s: %w", name, err)
	}
	return nil
}
