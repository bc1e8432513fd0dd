package authz

import (
	"errors"
	"os"
)

// readFile reads a file of the configuration. Its error says what is wrong, but not the path again. Pipes and devices are
// refused: they hold up who opens them, and can't be read anew.
func readFile(path string) ([]byte, error) {
	if is, err := os.Stat(path); err == nil && !is.Mode().IsRegular() && !is.IsDir() { // of a folder, reading says so
		return nil, errors.New("not a regular file")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return b, nil
}
