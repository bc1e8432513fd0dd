package jwks

import "slices"

// Inherit takes over the keys that another set of the same issuer and address knows, where they are for algorithms of this
// one, with the time of their fetch; and when an unknown key id last caused a fetch. It is called before Run, which fetches
// at once all the same: the keys stay if that fails.
func (s *Set) Inherit(former *Set) {
	former.mutex.Lock()
	asked := former.asked
	former.mutex.Unlock()
	s.mutex.Lock()
	s.asked = asked
	s.mutex.Unlock()
	known := former.current.Load()
	if known == nil {
		return
	}
	var keys []key
	for _, k := range known.keys {
		if slices.ContainsFunc(s.o.Algorithms, k.fits) {
			keys = append(keys, k)
		}
	}
	if len(keys) > 0 {
		s.current.Store(&snapshot{keys, known.at})
	}
}
