package webhook

import (
	"net/http"
	"testing"
)

// knows tells whether a namespace is in the cache with that environment; "" is the absence.
func knows(s *Server, name, environment string) bool {
	n := s.admission.namespaces
	n.mutex.RLock()
	defer n.mutex.RUnlock()
	return n.known[name].labels[labelEnvironment] == environment
}

const in = `"envgate/inject": "enabled", "envgate/environment": `

func TestNamespacesAreFollowed(t *testing.T) {
	f := newFakeAPI(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} { // three pages
		f.namespace(name, in+`"staging"`, "")
	}
	s, _ := start(t, options(f))
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		if !knows(s, name, "staging") {
			t.Errorf("%s was not listed", name)
		}
	}
	f.namespace("f", in+`"staging"`, "")
	eventually(t, "a new one is known", func() bool { return knows(s, "f", "staging") })
	f.namespace("a", in+`"production"`, "")
	eventually(t, "a change is known", func() bool { return knows(s, "a", "production") })
	f.namespace("b", `"envgate/environment": "staging"`, "")
	eventually(t, "a lost label is known", func() bool { return knows(s, "b", "") })
	f.remove(namespacesPath + "/c")
	eventually(t, "a deletion is known", func() bool { return knows(s, "c", "") })
	if n := f.count("GET " + namespacesPath + "/a"); n != 0 {
		t.Errorf("asked for one of them %d times", n)
	}
}

func TestALostWatchIsTakenUpAgain(t *testing.T) {
	f := newFakeAPI(t)
	f.namespace("a", in+`"staging"`, "")
	s, _ := start(t, options(f))
	listed := f.count("GET " + namespacesPath)
	f.cutWatches()
	f.namespace("a", in+`"production"`, "")
	eventually(t, "what happened meanwhile is known", func() bool { return knows(s, "a", "production") })
	if n := f.count("GET " + namespacesPath); n != listed+1 {
		t.Errorf("%d requests instead of one watch", n-listed)
	}
}

func TestAWatchThatIsGoneListsAgain(t *testing.T) {
	f := newFakeAPI(t)
	f.namespace("a", in+`"staging"`, "")
	f.namespace("b", in+`"staging"`, "")
	s, _ := start(t, options(f))
	f.answerWith(namespacesPath, http.StatusInternalServerError)
	f.cutWatches()
	f.remove(namespacesPath + "/b") // no event of it will ever come
	f.namespace("a", in+`"production"`, "")
	f.compact()
	f.answerWith(namespacesPath, 0)
	eventually(t, "both are known", func() bool { return knows(s, "a", "production") && knows(s, "b", "") })
	f.cutWatches()
	f.remove(namespacesPath + "/a")
	f.compact()
	eventually(t, "410 Gone as an event lists again", func() bool { return knows(s, "a", "") })
}

func TestANamespaceLabelledAMomentAgoIsAskedFor(t *testing.T) {
	f := newFakeAPI(t)
	f.namespace("known", `"envgate/inject": "enabled"`, "")
	s, _ := start(t, options(f))
	f.answerWith(namespacesPath, http.StatusInternalServerError) // from here on the cache stands still
	f.cutWatches()
	f.namespace("later", in+`"staging"`, "")
	f.namespace("known", in+`"production"`, "")
	for namespace, environment := range map[string]string{"later": "staging", "known": "production"} {
		if _, env := sidecarOf(t, ask(t, s, f, question(namespace, gatewayPod))); env["ENVGATE_ENVIRONMENT"] != environment {
			t.Errorf("%s: %v", namespace, env)
		}
	}
}
