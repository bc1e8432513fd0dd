package authz

import (
	"errors"
	"os"
)

// regular refuses pipes and devices: they hold up who opens them, and can't be read anew.
func regular(path string) error {
	if is, err := os.Stat(path); err == nil && !is.Mode().IsRegular() && !is.IsDir() { // of a folder, reading says so
		return errors.New("not a regular file")
	}
	return nil
}

// readRegular reads a regular file of the configuration. Its error says what is wrong, but not the path again.
func readRegular(path string) ([]byte, error) {
	if err := regular(path); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	return b, nil
}
