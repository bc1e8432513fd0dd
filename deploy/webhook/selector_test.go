package webhook

import "testing"

func TestSelectorsMatchAsInKubernetes(t *testing.T) {
	labels := map[string]string{"app": "gateway", "tier": "", "example.com/track": "stable"}
	for _, row := range []struct {
		selector string
		want     bool
	}{
		{"app=gateway", true}, {"app==gateway", true}, {"app = gateway", true}, {"app=other", false}, {"missing=x", false}, {"tier=", true}, {"app=", false},
		{"app!=gateway", false}, {"app != other", true}, {"missing!=x", true},
		{"app in (gateway)", true}, {"app in (a,gateway , b)", true}, {"app in(a)", false}, {"missing in (a)", false}, {"tier in (,a)", true},
		{"app notin (gateway)", false}, {"app notin (a, b)", true}, {"missing notin (a)", true},
		{"app", true}, {"missing", false}, {"!app", false}, {"!missing", true}, {"! missing", true},
		{"example.com/track=stable", true}, {"app=gateway,example.com/track in (stable, canary),!batch", true}, {"app=gateway,batch", false},
		{"app in (a,b),tier", false}, {"in=x", false}, {"notin", false},
	} {
		s, err := parseSelector(row.selector)
		if err != nil || s.matches(labels) != row.want {
			t.Errorf("%s: %v, %v", row.selector, s.matches(labels), err)
		}
	}
}

func TestSelectorsThatAreNoneAreRefused(t *testing.T) {
	for _, text := range []string{"", ",", "app=gateway,", "=x", "app=a=b", "app in a", "app in (a", "app in (a))", "app>1", "app=?", "a b", "app notin ()x", "-a", "a/b/c", "app in (a b)", "!app=x"} {
		if s, err := parseSelector(text); err == nil {
			t.Errorf("%q is %+v", text, s)
		}
	}
}
