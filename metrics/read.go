package metrics

import (
	"maps"
	"slices"
	"time"

	"envgate/authz"

	"github.com/prometheus/client_golang/prometheus"
)

// Reading is what the status page shows of the metrics: the values of a moment, of the same series as /metrics.
type Reading struct {
	Decisions          []DecisionCount // those that happened, most frequent first
	Environments       []ForeignCount  // every environment that tokens can be told to belong to, other last
	Streams            map[string]int  // open ones by kind
	Verified           int             // tokens whose signature verified
	WithoutEnvironment int             // those of them that carry no env
	LastExpiry         time.Time       // the largest expiry among tokens without env; zero: none seen
}

// DecisionCount is one series of envgate_decisions_total.
type DecisionCount struct {
	Decision authz.Outcome `json:"decision"`
	Reason   authz.Reason  `json:"reason"`
	Count    int           `json:"count"`
}

// ForeignCount says what became of the tokens of one other environment.
type ForeignCount struct {
	Environment string `json:"token_environment"`
	Refused     int    `json:"refused"`
	Reported    int    `json:"reported"`
	Removed     int    `json:"removed"`
}

// Total is the number of its tokens.
func (f ForeignCount) Total() int { return f.Refused + f.Reported + f.Removed }

// Read returns the values of now.
func (m *Metrics) Read() Reading {
	r := Reading{Streams: map[string]int{}}
	each(m.decisions, func(labels map[string]string, value int) {
		if value > 0 {
			r.Decisions = append(r.Decisions, DecisionCount{authz.Outcome(labels["decision"]), authz.Reason(labels["reason"]), value})
		}
	})
	slices.SortStableFunc(r.Decisions, func(a, b DecisionCount) int { return b.Count - a.Count })
	foreign := map[string]ForeignCount{}
	each(m.crossEnvironment, func(labels map[string]string, value int) {
		f := foreign[labels["token_environment"]]
		f.Environment = labels["token_environment"]
		switch labels["decision"] {
		case "refused":
			f.Refused = value
		case "reported":
			f.Reported = value
		case "removed":
			f.Removed = value
		}
		foreign[f.Environment] = f
	})
	for _, name := range slices.Sorted(maps.Keys(foreign)) {
		if name != authz.OtherEnvironment {
			r.Environments = append(r.Environments, foreign[name])
		}
	}
	r.Environments = append(r.Environments, foreign[authz.OtherEnvironment])
	each(m.streamsOpen, func(labels map[string]string, value int) { r.Streams[labels["kind"]] = value })
	each(m.verified, func(_ map[string]string, value int) { r.Verified += value })
	each(m.withoutEnv, func(_ map[string]string, value int) { r.WithoutEnvironment += value })
	m.latestExpiryMutex.Lock()
	defer m.latestExpiryMutex.Unlock()
	if m.latestExpiry > 0 {
		r.LastExpiry = time.Unix(int64(m.latestExpiry), 0).UTC()
	}
	return r
}

// each visits the series of one counter or gauge, in the order of their labels. A registry of its own spares the reader
// the Go and process collectors.
func each(c prometheus.Collector, visit func(labels map[string]string, value int)) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		return
	}
	for _, family := range families {
		for _, series := range family.GetMetric() {
			labels := map[string]string{}
			for _, pair := range series.GetLabel() {
				labels[pair.GetName()] = pair.GetValue()
			}
			visit(labels, int(series.GetCounter().GetValue()+series.GetGauge().GetValue()))
		}
	}
}
