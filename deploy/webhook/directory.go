package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"
)

// directory serves the certificate that cert-manager, or whoever, writes to a folder.
type directory struct {
	path     string
	interval time.Duration
	log      *slog.Logger
	loaded   func(*tls.Certificate)

	certificate, key []byte // as they were read last, good or bad
}

// run reads the files now and whenever they change, until ctx ends. Bad ones leave the last good certificate in use.
func (d *directory) run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := d.read(); err != nil {
			d.log.Error("the certificate can't be used", "error", err.Error())
		}
		sleep(ctx, d.interval)
	}
}

func (d *directory) read() error {
	certificate, err := os.ReadFile(filepath.Join(d.path, keyLeaf))
	if err != nil {
		return fmt.Errorf("certificate-directory: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(d.path, keyLeafKey))
	if err != nil {
		return fmt.Errorf("certificate-directory: %w", err)
	}
	if bytes.Equal(certificate, d.certificate) && bytes.Equal(key, d.key) {
		return nil
	}
	d.certificate, d.key = certificate, key
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("certificate-directory: %s: %w", d.path, err)
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return fmt.Errorf("certificate-directory: %s: %w", d.path, err)
		}
	}
	d.log.Info("a certificate was loaded", "directory", d.path, "expires", pair.Leaf.NotAfter)
	d.loaded(&pair)
	return nil
}
