package authz

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Probe is a kubelet's probe of the gateway that envgate runs in its place, against loopback: exactly one of the three,
// in Kubernetes' own words (core/v1 ProbeHandler).
type Probe struct {
	HTTPGet   *HTTPProbe `json:"httpGet"`
	TCPSocket *PortProbe `json:"tcpSocket"`
	GRPC      *GRPCProbe `json:"grpc"`
}

// PortProbe passes if the port accepts a connection.
type PortProbe struct {
	Port int `json:"port"`
}

// GRPCProbe passes if the gRPC health service says SERVING.
type GRPCProbe struct {
	Port    int    `json:"port"`
	Service string `json:"service"`
}

// HTTPProbe passes if a GET is answered 200 to 399.
type HTTPProbe struct {
	Port        int    `json:"port"`
	Path        string `json:"path"`
	HTTPHeaders []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"httpHeaders"`
}

// Port is where the probe goes.
func (p Probe) Port() int {
	switch {
	case p.HTTPGet != nil:
		return p.HTTPGet.Port
	case p.TCPSocket != nil:
		return p.TCPSocket.Port
	case p.GRPC != nil:
		return p.GRPC.Port
	}
	return 0
}

var probeName = regexp.MustCompile(`^[a-z0-9-]+/(startup|readiness|liveness)$`)

// probes reads the original probes that injection kept, as JSON by container/kind.
func probes(c *Config, v string) error {
	if v == "" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(v)))
	d.DisallowUnknownFields()
	if err := d.Decode(&c.Probes); err != nil {
		return errors.New("want JSON: container/kind to httpGet, tcpSocket or grpc, as injection writes it")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) || len(c.Probes) > 100 {
		return errors.New("want one JSON object of at most 100 probes")
	}
	for name, p := range c.Probes {
		actions := 0
		for _, given := range []bool{p.HTTPGet != nil, p.TCPSocket != nil, p.GRPC != nil} {
			if given {
				actions++
			}
		}
		if !probeName.MatchString(name) || actions != 1 || p.Port() < 1 || p.Port() > 65535 {
			return fmt.Errorf("%q: want container/startup, /readiness or /liveness, with one of httpGet, tcpSocket or grpc and its port", Printable(name))
		}
	}
	return nil
}
