//go:build realgateway

package realgateway

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// pod is what a kubelet would run: the template of an injected Deployment, with the Secret and ConfigMap beside it.
type pod struct {
	Containers     []podContainer               `yaml:"containers"`
	InitContainers []podContainer               `yaml:"initContainers"`
	Grace          int                          `yaml:"terminationGracePeriodSeconds"`
	values         map[string]map[string]string // of Secrets and ConfigMaps, by name
}

type podContainer struct {
	Name          string `yaml:"name"`
	RestartPolicy string `yaml:"restartPolicy"`
	EnvFrom       []struct {
		Prefix       string  `yaml:"prefix"`
		SecretRef    *object `yaml:"secretRef"`
		ConfigMapRef *object `yaml:"configMapRef"`
	} `yaml:"envFrom"`
	Env []struct {
		Name  string `yaml:"name"`
		Value string `yaml:"value"`
	} `yaml:"env"`
	Ports []struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	} `yaml:"ports"`
	StartupProbe   *action `yaml:"startupProbe"`
	ReadinessProbe *action `yaml:"readinessProbe"`
	LivenessProbe  *action `yaml:"livenessProbe"`
	Lifecycle      struct {
		PreStop action `yaml:"preStop"`
	} `yaml:"lifecycle"`
}

type object struct {
	Name string `yaml:"name"`
}

type action struct {
	Exec *struct {
		Command []string `yaml:"command"`
	} `yaml:"exec"`
	HTTPGet *struct {
		Path string `yaml:"path"`
		Port any    `yaml:"port"`
	} `yaml:"httpGet"`
	Sleep *struct {
		Seconds int `yaml:"seconds"`
	} `yaml:"sleep"`
}

// injected runs envgate inject on a manifest, and reads the result as a kubelet would.
func injected(t *testing.T, manifest string, flags ...string) pod {
	t.Helper()
	var out, messages bytes.Buffer
	cmd := exec.Command(binary, append([]string{"inject", "--image", "registry.example.com/envgate:1.0.0"}, flags...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(manifest), &out, &messages
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, messages.String())
	}
	p := pod{values: map[string]map[string]string{}}
	for documents := yaml.NewDecoder(&out); ; {
		var d struct {
			Kind       string            `yaml:"kind"`
			Metadata   object            `yaml:"metadata"`
			Data       map[string]string `yaml:"data"`
			StringData map[string]string `yaml:"stringData"`
			Spec       struct {
				Template struct {
					Spec pod `yaml:"spec"`
				} `yaml:"template"`
			} `yaml:"spec"`
		}
		if documents.Decode(&d) != nil {
			break
		}
		switch d.Kind {
		case "Deployment":
			p.Containers, p.InitContainers, p.Grace = d.Spec.Template.Spec.Containers, d.Spec.Template.Spec.InitContainers, d.Spec.Template.Spec.Grace
		case "Secret":
			p.values[d.Metadata.Name] = d.StringData
		case "ConfigMap":
			p.values[d.Metadata.Name] = d.Data
		}
	}
	if p.Grace == 0 {
		p.Grace = 30 // the API server's default
	}
	return p
}

// env is a container's environment, as a kubelet makes it: envFrom in order, then env, later ones winning.
func (p pod) env(c podContainer) map[string]string {
	all := map[string]string{}
	for _, from := range c.EnvFrom {
		source := from.SecretRef
		if source == nil {
			source = from.ConfigMapRef
		}
		for name, value := range p.values[source.Name] {
			all[from.Prefix+name] = value
		}
	}
	for _, e := range c.Env {
		all[e.Name] = strings.ReplaceAll(e.Value, "$$(", "$(")
	}
	return all
}

// run does what a probe or hook says: nil if it passes.
func (a *action) run(p pod, c podContainer) error {
	switch {
	case a.Exec != nil:
		if a.Exec.Command[0] != "/envgate" {
			return fmt.Errorf("not a command of envgate: %q", a.Exec.Command)
		}
		cmd := exec.Command(binary, a.Exec.Command[1:]...)
		cmd.Env = environ(p.env(c))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	case a.HTTPGet != nil:
		port := fmt.Sprint(a.HTTPGet.Port)
		for _, named := range c.Ports {
			if named.Name == port {
				port = fmt.Sprint(named.ContainerPort)
			}
		}
		resp, err := http.Get("http://127.0.0.1:" + port + a.HTTPGet.Path)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode < 200 || resp.StatusCode > 399 {
			return fmt.Errorf("%s: %s", a.HTTPGet.Path, resp.Status)
		}
		return nil
	}
	return fmt.Errorf("neither exec nor httpGet")
}
