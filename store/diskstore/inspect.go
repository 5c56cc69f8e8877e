package diskstore

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Damage describes the damage of one file of a store.
type Damage struct {
	File    string `json:"file"`
	Offset  int64  `json:"offset"`            // of the damage; -1 if the whole file is wrong
	Problem string `json:"problem"`           // in words
	Follows string `json:"follows,omitempty"` // readable rest of a log or manifest

	// The unreadable part of a table holds these.
	Keys    string `json:"keys,omitempty"`    // range of keys
	Queues  string `json:"queues,omitempty"`  // range of queues
	Entries int64  `json:"entries,omitempty"` // number of keys that cannot be read

	table *tableInfo // nil if the file is no table
	log   uint64     // number of the log, 0 if it is none
	span  span
	rest  bool // only blocks of data are damaged: the other ones can be saved
}

// String names the file and its problem.
func (d Damage) String() string {
	var b strings.Builder
	b.WriteString(d.File)
	if d.Offset >= 0 {
		fmt.Fprintf(&b, ", offset %d", d.Offset)
	}
	b.WriteString(": " + d.Problem)
	if d.Follows != "" {
		b.WriteString("; " + d.Follows)
	}
	if d.Queues != "" {
		fmt.Fprintf(&b, "; queues %s", d.Queues)
	} else if d.Keys != "" {
		fmt.Fprintf(&b, "; keys %s", d.Keys)
	}
	if d.Entries > 0 {
		fmt.Fprintf(&b, "; %d keys are unreadable", d.Entries)
	}
	return b.String()
}

// DamageError says that files of a store are damaged. The store was left as it is.
type DamageError struct {
	Dir     string
	Damages []Damage
}

const (
	maxDamagesShown = 5
	optionsPrefix   = "OPTIONS-"
	maxOptions      = 1 << 20
)

func (e *DamageError) Error() string {
	var b strings.Builder
	b.WriteString("the data is damaged: ")
	for i, d := range e.Damages {
		if i == maxDamagesShown {
			fmt.Fprintf(&b, "; and %d more", len(e.Damages)-i)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(d.String())
	}
	b.WriteString(`. Nothing was changed. "ccs store verify" shows all of it, and "ccs store repair" saves what can be saved; or restore a copy`)
	return b.String()
}

// inspection holds the state of a store's files, read without the engine.
type inspection struct {
	fs   vfs.FS
	dir  string
	list []string

	empty        bool // there is no store yet
	inventory    *inventory
	manifestName string
	manifest     *manifestRead
	unsure       bool     // the manifest does not list the tables and logs reliably
	logs         []uint64 // logs that the engine will read, in order
	torn         *logRead // the newest log, if its tail is torn
	damages      []Damage
}

func (in *inspection) add(d Damage) { in.damages = append(in.damages, d) }

func (in *inspection) err() error {
	if len(in.damages) == 0 {
		return nil
	}
	return &DamageError{Dir: in.dir, Damages: in.damages}
}

// wrong notes damage of a whole file.
func (in *inspection) wrong(file, format string, args ...any) {
	in.add(Damage{File: file, Offset: -1, Problem: fmt.Sprintf(format, args...)})
}

// inspect reads a store's files, except the contents of tables. It changes nothing. Damage is no
// error.
func inspect(fsys vfs.FS, dir string) (*inspection, error) {
	in := &inspection{fs: fsys, dir: dir}
	var err error
	if in.list, err = fsys.List(dir); err != nil {
		return nil, err
	}
	slices.Sort(in.list)
	in.inventory, err = readInventory(fsys, dir)
	switch {
	case errors.Is(err, errInventory):
		in.wrong(inventoryFile, "%v", err)
	case err != nil:
		return nil, err
	}
	if ok, err := in.findManifest(); err != nil || !ok {
		return in, err
	}
	if ok, err := in.checkManifest(); err != nil || !ok {
		in.unsure = true
		return in, err
	}
	if in.manifest.comparer != comparer.Name {
		return in, nil // the engine refuses it
	}
	if err := in.checkOptions(); err != nil {
		return nil, err
	}
	if err := in.checkTables(); err != nil {
		return nil, err
	}
	return in, in.checkLogs()
}

// checkOptions checks whether the engine can read the options that it wrote last.
func (in *inspection) checkOptions() error {
	newest := ""
	for _, name := range in.list {
		if strings.HasPrefix(name, optionsPrefix) && (len(name) > len(newest) || name > newest) {
			newest = name
		}
	}
	if newest == "" {
		return nil
	}
	b, err := readFile(in.fs, in.fs.PathJoin(in.dir, newest), maxOptions)
	if err != nil {
		return fmt.Errorf("read %s: %w", newest, err)
	}
	if err := plainOptions(in.fs).CheckCompatibility(in.dir, string(b)); err != nil {
		in.wrong(newest, "%v", err)
	}
	return nil
}

// data returns the name of a file that proves that the directory holds data, or "".
func (in *inspection) data() string {
	for _, name := range in.list {
		if strings.HasSuffix(name, ".sst") || name == inventoryFile {
			return name
		}
		if strings.HasSuffix(name, ".log") {
			if info, err := in.fs.Stat(in.fs.PathJoin(in.dir, name)); err != nil || info.Size() > 0 {
				return name
			}
		}
	}
	return ""
}

// findManifest finds the manifest that the engine will read.
func (in *inspection) findManifest() (ok bool, err error) {
	desc, err := pebble.Peek(in.dir, in.fs)
	if err != nil {
		return false, explain(err)
	}
	marked := slices.ContainsFunc(in.list, func(name string) bool { return strings.HasPrefix(name, "marker.format-version.") })
	switch {
	case desc.Exists && marked:
		in.manifestName = in.fs.PathBase(desc.ManifestFilename)
		return true, nil
	case in.data() == "":
		in.empty = true // or the store was being made when the machine crashed
		return false, nil
	case !desc.Exists:
		in.wrong("marker.manifest", "it is missing, but %s shows that there is a store", in.data())
	default:
		in.wrong("marker.format-version", "it is missing, but %s shows that there is a store", in.data())
	}
	return false, nil
}

// checkManifest reads the manifest and compares it with the inventory.
func (in *inspection) checkManifest() (ok bool, err error) {
	name := in.manifestName
	f, size, err := openSized(in.fs, in.fs.PathJoin(in.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		in.wrong(name, "it is missing")
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if in.manifest, err = readManifest(f, size); err != nil {
		return false, fmt.Errorf("read %s: %w", name, err)
	}
	m := in.manifest
	if m.bad != nil && !m.torn {
		in.add(Damage{
			File: name, Offset: m.bad.offset, Problem: m.bad.err.Error(),
			Follows: fmt.Sprintf("%d of %d bytes follow", size-m.bad.offset, size),
		})
		return false, nil
	}
	if m.comparer == "" || m.minLog == 0 && m.nextFile == 0 {
		in.add(Damage{File: name, Offset: 0, Problem: fmt.Sprintf("its %d bytes describe no store", size)})
		return false, nil
	}
	if in.inventory == nil {
		return true, nil
	}
	switch want := in.inventory.Manifest; {
	case name < want.Name && len(name) == len(want.Name):
		in.wrong(name, "the store has used %s since", want.Name)
		return false, nil
	case name != want.Name:
		return true, nil
	case size < want.Size:
		in.add(Damage{File: name, Offset: size, Problem: fmt.Sprintf("it ends here, and had %d bytes", want.Size)})
		return false, nil
	default:
		sum, err := sumFile(f, want.Size)
		if err == nil && sum != want.Sum {
			in.wrong(name, "it is not the file that it was")
		}
		return err == nil && sum == want.Sum, err
	}
}

// checkTables checks whether all tables exist.
func (in *inspection) checkTables() error {
	for _, number := range slices.Sorted(maps.Keys(in.manifest.tables)) {
		t := in.manifest.tables[number]
		info, err := in.fs.Stat(in.fs.PathJoin(in.dir, t.name()))
		problem := ""
		switch {
		case errors.Is(err, fs.ErrNotExist):
			problem = "it is missing"
		case err != nil:
			return err
		case info.Size() != t.size:
			problem = fmt.Sprintf("it has %d bytes instead of %d", info.Size(), t.size)
		default:
			continue
		}
		d := Damage{File: t.name(), Offset: -1, Problem: problem}
		d.hold(t, span{t.smallest, t.largest})
		in.add(d)
	}
	return nil
}

// checkLogs reads the logs that the engine will read.
func (in *inspection) checkLogs() error {
	for _, name := range in.list {
		var number uint64
		if n, _ := fmt.Sscanf(name, "%d.log", &number); n == 1 && name == logName(number) && number >= in.manifest.minLog {
			in.logs = append(in.logs, number)
		}
	}
	slices.Sort(in.logs)
	var known map[uint64]inventoryLog
	if in.inventory != nil {
		known = map[uint64]inventoryLog{}
		for _, l := range in.inventory.Logs {
			known[l.Number] = l
			if l.Number >= in.manifest.minLog && !slices.Contains(in.logs, l.Number) {
				in.add(Damage{File: logName(l.Number), Offset: -1, Problem: "it is missing", log: l.Number})
			}
		}
	}
	for i, number := range in.logs {
		if err := in.checkLog(number, known[number], i == len(in.logs)-1); err != nil {
			return fmt.Errorf("read %s: %w", logName(number), err)
		}
	}
	return nil
}

func (in *inspection) checkLog(number uint64, known inventoryLog, newest bool) error {
	f, size, err := openSized(in.fs, in.fs.PathJoin(in.dir, logName(number)))
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := readLog(f, size, number, nil)
	if err != nil {
		return err
	}
	d := Damage{File: logName(number), Offset: l.valid, log: number}
	if l.bad != nil {
		d.Offset = l.bad.offset
	}
	if d.Problem = l.damaged(newest && !known.Closed); d.Problem != "" {
		d.Follows = l.follows()
		in.add(d)
		return nil
	}
	switch {
	case known.Closed && (size != known.Size || !l.trailer):
		d.Offset, d.Problem = size, fmt.Sprintf("it has %d bytes, and had %d when the store was closed", size, known.Size)
	case !known.Closed && l.valid < known.Size:
		d.Problem = fmt.Sprintf("it ends here, and had at least %d bytes", known.Size)
	case newest && l.bad != nil:
		in.torn = l
		return nil
	default:
		return nil
	}
	in.add(d)
	return nil
}
