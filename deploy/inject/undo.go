package inject

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// undo says how to take an injection back; it is written to the Pod as the annotation envgate/original. Items of lists are
// named as name=NAME, so that other changes in between don't matter.
type undo struct {
	Remove  []string       `json:"remove"`            // what was added
	Empty   []string       `json:"empty,omitempty"`   // mappings and lists that were added, and go once they are empty
	Restore map[string]any `json:"restore,omitempty"` // what was replaced, by where its replacement stands: its text, or its value
}

// undoOf undoes edits of a value. Where text is replaced, the text is put in later.
func undoOf(edits []edit, v any) (u undo) {
	for _, e := range edits {
		target := named(e.target(), v, e.value)
		original, _ := lookUp(v, e.path)
		if e.replace {
			if u.Restore == nil {
				u.Restore = map[string]any{}
			}
			u.Restore[target] = object{{last(e.path), original}}
		}
		if !e.replace || original == nil && !isScalar(e.value) {
			u.remove(target, e.value, !e.replace)
		}
	}
	return u
}

// remove notes an addition: of a mapping or list its entries, so that what others add to it later stays.
func (u *undo) remove(target string, value any, whole bool) {
	switch value := value.(type) {
	case object:
		if isItem(target) {
			break
		}
		for _, f := range value {
			if f.name == "annotations" {
				u.remove(target+pointer(f.name), f.value, true)
			} else {
				u.Remove = append(u.Remove, target+pointer(f.name))
			}
		}
		if whole {
			u.Empty = append(u.Empty, target)
		}
		return
	case []any:
		for _, item := range value {
			u.Remove = append(u.Remove, target+pointer(itemName(item)))
		}
		if whole {
			u.Empty = append(u.Empty, target)
		}
		return
	}
	u.Remove = append(u.Remove, target)
}

func isItem(target string) bool { return strings.HasPrefix(last(target), "name=") }

// itemName is the key of an item in a named path.
func itemName(item any) string {
	name, _ := fieldOf(item, "name").(string)
	return "name=" + name
}

func fieldOf(v any, name string) any {
	if m, ok := ordered(v).(object); ok {
		for _, f := range m {
			if f.name == name {
				return f.value
			}
		}
	}
	return nil
}

// named writes the items in a path by name: containers/0 becomes containers/name=gateway, if no other has that name.
func named(path string, v, added any) string {
	var keys []string
	for _, key := range keysOf(path) {
		items, isList := v.([]any)
		if isList && key == "-" {
			keys = append(keys, itemName(added))
			break
		}
		next, _ := lookUp(v, pointer(key))
		if name := itemName(next); isList && name != "name=" && len(itemsNamed(items, name)) == 1 {
			key = name
		}
		keys, v = append(keys, key), next
	}
	return pointer(keys...)
}

func itemsNamed(items []any, name string) (indexes []int) {
	for i, item := range items {
		if itemName(item) == name {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

// indexed is the opposite of named; false where the path leads nowhere.
func indexed(path string, v any) (string, bool) {
	var keys []string
	for _, key := range keysOf(path) {
		if items, isList := v.([]any); isList && strings.HasPrefix(key, "name=") {
			found := itemsNamed(items, key)
			if len(found) != 1 {
				return "", false
			}
			key = strconv.Itoa(found[0])
		}
		next, present := lookUp(v, pointer(key))
		if !present {
			return "", false
		}
		keys, v = append(keys, key), next
	}
	return pointer(keys...), true
}

func (u undo) String() string {
	text, err := marshal(u)
	if err != nil {
		panic(err) // decoded JSON or YAML: always written again
	}
	return string(text)
}

var errOriginal = fmt.Errorf("annotation %s: not what inject wrote: take the sidecar out by hand", annotationOriginal)

func parseUndo(text string) (u undo, err error) {
	if err = json.Unmarshal([]byte(text), &u); err != nil {
		return u, errOriginal
	}
	return u, nil
}
