package load

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Expectation is a threshold of a result, such as ack.p99<10ms.
type Expectation struct {
	text, metric, op string
	value            float64
}

// expectation matches a metric, a comparison and a number or duration.
var expectation = regexp.MustCompile(`^\s*([a-z0-9_.]+)\s*(<=|>=|!=|<|>|=)\s*([0-9][0-9a-zµ.]*)\s*$`)

// ParseExpectations parses the value of --expect: "ack.p99<10ms,lost=0". A metric is the path of a
// number in the result's JSON, where ack.p99 is short for ack_ms.p99. Latencies are durations or
// milliseconds.
func ParseExpectations(text string) ([]Expectation, error) {
	var list []Expectation
	known := numbers(&Result{ServerCPU: new(float64)})
	for part := range strings.SplitSeq(text, ",") {
		m := expectation.FindStringSubmatch(part)
		if m == nil {
			return nil, fmt.Errorf("%q: say metric, comparison and value, such as ack.p99<10ms or lost=0", part)
		}
		e := Expectation{text: strings.TrimSpace(part), metric: fullName(m[1]), op: m[2]}
		if _, ok := known[e.metric]; !ok {
			return nil, fmt.Errorf("%q: no metric %q, there are %s", part, m[1], strings.Join(names(known), ", "))
		}
		var err error
		if e.value, err = strconv.ParseFloat(m[3], 64); err != nil {
			d, err := time.ParseDuration(m[3])
			if err != nil || !strings.Contains(e.metric, "_ms.") {
				return nil, fmt.Errorf("%q: %q is no value for it", part, m[3])
			}
			e.value = float64(d) / float64(time.Millisecond)
		}
		list = append(list, e)
	}
	return list, nil
}

// Miss describes how a result misses the expectation. It returns "" if it does not. A metric that
// the result lacks is a miss.
func (e Expectation) Miss(r *Result) string {
	v, ok := metrics(r)[e.metric]
	if !ok {
		return fmt.Sprintf("%s: the run has no such figure", e.text)
	}
	met := map[string]bool{
		"<": v < e.value, "<=": v <= e.value, ">": v > e.value, ">=": v >= e.value, "=": v == e.value, "!=": v != e.value,
	}
	if met[e.op] {
		return e.missing(r)
	}
	return fmt.Sprintf("%s: it is %s", e.text, strconv.FormatFloat(v, 'f', -1, 64))
}

// quantiles maps percentiles to shares of the values.
var quantiles = map[string]float64{"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1}

// missing describes how a latency misses an upper limit although its value is below that. That
// happens if too many messages have no latency, because they were never sent, answered or
// delivered. They count as slower than all others.
func (e Expectation) missing(r *Result) string {
	if e.op != "<" && e.op != "<=" {
		return ""
	}
	unsent := r.Overdue.NoConnection.Unsent + r.Overdue.WindowFull.Unsent + r.Unanswered
	upUnsent := r.Upstream.Unsent + r.Upstream.Unanswered
	for _, of := range []struct {
		name    string
		values  int64
		without int64
	}{
		{"ack_ms.", r.AckMS.Count, unsent},
		{"delivery_ms.", r.DeliveryMS.Count, unsent + r.Lost + r.Waiting},
		{"upstream.ack_ms.", r.Upstream.AckMS.Count, upUnsent},
		{"upstream.delivery_ms.", r.Upstream.DeliveryMS.Count, upUnsent + r.Upstream.Lost + r.Upstream.Waiting},
	} {
		percentile, ok := strings.CutPrefix(e.metric, of.name)
		if ok && float64(of.values) < quantiles[percentile]*float64(of.values+of.without) {
			return fmt.Sprintf("%s: %d of %d messages have no latency: they were not sent, answered or delivered",
				e.text, of.without, of.values+of.without)
		}
	}
	return ""
}

// fullName returns the path of a metric: ack.p99 is ack_ms.p99, upstream.ack.p99 is
// upstream.ack_ms.p99.
func fullName(name string) string {
	parts := strings.Split(name, ".")
	if n := len(parts); n >= 2 && slices.Contains([]string{"ack", "delivery", "login", "late"}, parts[n-2]) {
		parts[n-2] += "_ms"
	}
	return strings.Join(parts, ".")
}

// metrics returns every number of a result by its path in JSON. It leaves out latencies without
// values.
func metrics(r *Result) map[string]float64 {
	found := numbers(r)
	for path, l := range map[string]Latency{
		"ack_ms.": r.AckMS, "delivery_ms.": r.DeliveryMS, "login_ms.": r.LoginMS, "generator.late_ms.": r.Generator.LateMS,
		"upstream.ack_ms.": r.Upstream.AckMS, "upstream.delivery_ms.": r.Upstream.DeliveryMS,
	} {
		if l == (Latency{}) {
			for percentile := range quantiles {
				delete(found, path+percentile)
			}
		}
	}
	return found
}

// numbers returns every number of a result by its path in JSON, except those of the plan and in
// lists.
func numbers(r *Result) map[string]float64 {
	short := *r
	short.Plan = DefaultPlan()
	b, err := json.Marshal(&short)
	if err != nil {
		panic(err) // a result contains only numbers, texts and lists of them
	}
	var fields map[string]any
	if err := json.Unmarshal(b, &fields); err != nil {
		panic(err)
	}
	delete(fields, "plan")
	found := map[string]float64{}
	collect(found, "", fields)
	return found
}

func collect(found map[string]float64, prefix string, fields map[string]any) {
	for name, value := range fields {
		switch v := value.(type) {
		case float64:
			found[prefix+name] = v
		case map[string]any:
			collect(found, prefix+name+".", v)
		}
	}
}

func names(metrics map[string]float64) []string {
	list := make([]string, 0, len(metrics))
	for name := range metrics {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
