package webhook

import (
	"context"
	"encoding/json"
	"testing"

	"envgate/metrics"
)

// BenchmarkDecide is a whole admission but for the connection: decode, decide, encode, count and log. It must stay far
// below 5 ms.
func BenchmarkDecide(b *testing.B) {
	f := newFakeAPI(b)
	f.namespace("gateways", in+`"staging"`, `"envgate/selector": "app=gateway"`)
	f.namespace("own-policy", in+`"staging"`, "")
	f.put(namespacesPath+"/own-policy/configmaps/envgate-policy", `{"data": {"policy.yaml": "bind: {host_env: HOST, port_env: PORT}\n"}}`)
	s, _ := start(b, options(f))
	for _, row := range []struct{ name, namespace, pod, result string }{
		{"injected", "gateways", gatewayPod, metrics.Injected},
		{"injected with a policy of its own", "own-policy", gatewayPod, metrics.Injected},
		{"skipped", "gateways", podWith(`"labels": {}`, unknown, port), metrics.Skipped},
	} {
		b.Run(row.name, func(b *testing.B) {
			asked := []byte(question(row.namespace, row.pod))
			b.ReportAllocs()
			for b.Loop() {
				text, err := s.admission.answer(context.Background(), asked)
				if err != nil {
					b.Fatal(err)
				}
				if (len(text) > 1000) != (row.result == metrics.Injected) {
					b.Fatalf("%s", text)
				}
			}
			var answer review
			if text, _ := s.admission.answer(context.Background(), asked); json.Unmarshal(text, &answer) != nil || !answer.Response.Allowed {
				b.Fatalf("%s", text)
			}
		})
	}
}
