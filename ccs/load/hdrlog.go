package load

import (
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// HistogramLog writes a histogram log (HdrHistogram log format 1.3). Each sample has one line
// tagged ack and one tagged delivery, in microseconds.
type HistogramLog struct {
	w    *hdrhistogram.HistogramLogWriter
	base time.Time // start of the log; zero before its first line
	last time.Time // end of the last sample
}

// NewHistogramLog makes a log that writes to w. The caller closes w.
func NewHistogramLog(w io.Writer) *HistogramLog {
	return &HistogramLog{w: hdrhistogram.NewHistogramLogWriter(w)}
}

// Progress writes nothing.
func (l *HistogramLog) Progress(string, int, int) error { return nil }

// Sample writes two lines.
func (l *HistogramLog) Sample(s *Sample) error {
	now := time.Now()
	if l.base.IsZero() {
		l.base = now.Add(-time.Duration(s.Seconds * float64(time.Second)))
		l.last = l.base
		if err := l.header(); err != nil {
			return err
		}
	}
	for _, line := range []struct {
		tag string
		h   *hdrhistogram.Histogram
	}{{"ack", s.Ack}, {"delivery", s.Delivery}} {
		line.h.SetTag(line.tag)
		line.h.SetStartTimeMs(l.last.UnixMilli())
		line.h.SetEndTimeMs(now.UnixMilli())
		if err := l.w.OutputIntervalHistogram(line.h); err != nil {
			return err
		}
	}
	l.last = now
	return nil
}

func (l *HistogramLog) header() error {
	l.w.SetBaseTime(l.base.UnixMilli())
	if err := l.w.OutputLogFormatVersion(); err != nil {
		return err
	}
	if err := l.w.OutputBaseTime(l.base.UnixMilli()); err != nil {
		return err
	}
	return l.w.OutputLegend()
}

// Result writes nothing.
func (l *HistogramLog) Result(*Result) error { return nil }
