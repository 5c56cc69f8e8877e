package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/openccs/openccs/ccs/card/atomicfile"
	"github.com/openccs/openccs/ccs/load"
	"github.com/openccs/openccs/ccs/load/plot"
)

// loadReports holds the reporters of a run and the files that they write.
type loadReports struct {
	list  []load.Reporter
	files []*atomicfile.File
}

// reports makes the reporters for the flags. It reports an unwritable file now, before the run. An
// existing file keeps its content until there is a result.
func (c *loadRunCmd) reports(out *output) (*loadReports, error) {
	r := &loadReports{}
	if isTerminal(out.stderr) {
		r.list = append(r.list, &loadLive{out: out, total: c.Ramp + c.Duration})
	} else {
		r.list = append(r.list, &loadLines{out: out, last: time.Now()})
	}
	for _, report := range []struct {
		flag, path string
		reporter   func(*atomicfile.File) load.Reporter
	}{
		{"--hdr-log", c.HDRLog, func(f *atomicfile.File) load.Reporter { return load.NewHistogramLog(f) }},
		{"--html", c.HTML, func(f *atomicfile.File) load.Reporter {
			return loadResult{print: func(result *load.Result) error { return plot.HTML(f, result) }}
		}},
	} {
		if report.path == "" {
			continue
		}
		f, err := atomicfile.Create(report.path)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", report.flag, err), r.discard())
		}
		r.files = append(r.files, f)
		r.list = append(r.list, loadFile{Reporter: report.reporter(f), flag: report.flag, file: f})
	}
	return r, nil
}

// loadFile is a reporter that writes a file. The file is complete when it has the result.
type loadFile struct {
	load.Reporter
	flag string
	file *atomicfile.File
}

// Result writes the result and replaces the old file.
func (l loadFile) Result(r *load.Result) error {
	err := l.Reporter.Result(r)
	if err == nil {
		err = l.file.Commit()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.flag, err)
	}
	return nil
}

// last returns the reporter that prints the result. Scripts may take its output as the end of the
// run.
func (c *loadRunCmd) last(out *output) load.Reporter {
	if c.JSON {
		return loadResult{print: func(r *load.Result) error { return out.json(r) }}
	}
	return loadResult{print: func(r *load.Result) error { return out.printf("%s", r.Summary()) }}
}

// discard removes the files of a run without a result.
func (r *loadReports) discard() error {
	var errs []error
	for _, f := range r.files {
		errs = append(errs, f.Abort())
	}
	return errors.Join(errs...)
}

// quiet is a reporter that does nothing. Other reporters embed it.
type quiet struct{}

func (quiet) Progress(string, int, int) error { return nil }
func (quiet) Sample(*load.Sample) error       { return nil }
func (quiet) Result(*load.Result) error       { return nil }

// loadResult is a reporter of only the result.
type loadResult struct {
	quiet
	print func(*load.Result) error
}

// Result prints the result.
func (p loadResult) Result(r *load.Result) error { return p.print(r) }

// loadLines prints one line a second.
type loadLines struct {
	quiet
	out  *output
	last time.Time // time of the last set-up line
}

// Progress prints the progress of the set-up.
func (l *loadLines) Progress(what string, done, total int) error {
	if time.Since(l.last) >= time.Second {
		l.last = time.Now()
		l.out.note("%s %d/%d", what, done, total)
	}
	return nil
}

// Sample prints a sample.
func (l *loadLines) Sample(s *load.Sample) error {
	l.out.note("%s", s)
	return nil
}

// loadLive keeps one line of a terminal up to date: a bar, and the text of loadLines.
type loadLive struct {
	out   *output
	total time.Duration // of the ramp and the measured part
	bar   *progressbar.ProgressBar
	what  string // subject of the bar
}

// show draws the bar at done of total.
func (l *loadLive) show(what, words string, done, total int) error {
	if l.bar == nil || l.what != what {
		l.what = what
		l.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(io.Discard), progressbar.OptionSetWidth(20),
			progressbar.OptionSetElapsedTime(false), progressbar.OptionSetPredictTime(false))
	}
	l.bar.Describe(l.cut(words))
	if err := l.bar.Set(min(done, total)); err != nil {
		return err
	}
	l.out.redraw(strings.Trim(l.bar.String(), "\r"))
	return nil
}

// barWidth is the width of the bar with its percentage, in columns.
const barWidth = 30

// cut shortens words to fit on a line beside the bar, because a wrapped line cannot be redrawn.
func (l *loadLive) cut(words string) string {
	f, ok := l.out.stderr.(*os.File)
	if !ok {
		return words
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if room := columns - barWidth; err == nil && room > 0 && len(words) > room {
		return words[:room] // all ASCII
	}
	return words
}

// Progress shows the progress of the set-up.
func (l *loadLive) Progress(what string, done, total int) error {
	return l.show(what, fmt.Sprintf("%s %d/%d", what, done, total), done, total)
}

// Sample shows the progress of the run.
func (l *loadLive) Sample(s *load.Sample) error {
	return l.show("run", s.String(), int(s.At*1000), int(l.total.Milliseconds()))
}

// Result clears the line for the result.
func (l *loadLive) Result(*load.Result) error {
	l.out.redraw("")
	return nil
}
