package devcert

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/openccs/openccs/ccs/card/atomicfile"
)

// Files are the paths of the certificates and keys.
type Files struct {
	CA    string // the certificate that clients must trust
	CAKey string
	Cert  string // the chain of the server
	Key   string
}

// Ensure keeps a CA and a server certificate for names in the folder tls of dir. It makes missing
// files. It replaces the server certificate if that expires within 30 days, lacks a name or is not
// signed by the CA. It never replaces a CA, because a client may trust it already.
func Ensure(dir string, names []string, now time.Time) (Files, error) {
	folder := filepath.Join(dir, "tls")
	f := Files{
		CA:    filepath.Join(folder, "ca.pem"),
		CAKey: filepath.Join(folder, "ca-key.pem"),
		Cert:  filepath.Join(folder, "server.pem"),
		Key:   filepath.Join(folder, "server-key.pem"),
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return Files{}, fmt.Errorf("make the folder for certificates: %w", err)
	}
	ca, err := f.authority(now)
	if err != nil {
		return Files{}, err
	}
	good, err := f.serverIsGood(ca, names, now)
	if err != nil || good {
		return f, err
	}
	key, chain, err := ca.issue(names, now)
	if err != nil {
		return Files{}, fmt.Errorf("issue %s: %w", f.Cert, err)
	}
	// A crash between the two leaves a key that does not fit. The next start replaces the pair.
	if err := write(f.Key, key, 0o600); err != nil {
		return Files{}, err
	}
	return f, write(f.Cert, chain, 0o644)
}

// authority loads the CA, or makes it if neither certificate nor key exists.
func (f Files) authority(now time.Time) (*authority, error) {
	certPEM, certErr := os.ReadFile(f.CA)
	keyPEM, keyErr := os.ReadFile(f.CAKey)
	switch noCert, noKey := errors.Is(certErr, fs.ErrNotExist), errors.Is(keyErr, fs.ErrNotExist); {
	case noCert: // a crash between the two writes left only the key; no client trusts it yet
		return f.makeAuthority(now)
	case certErr != nil:
		return nil, unreadable(certErr)
	case noKey:
		return nil, f.broken(f.CAKey, "is missing, though its certificate is there")
	case keyErr != nil:
		return nil, unreadable(keyErr)
	}

	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, f.broken(f.CA, "does not go with "+f.CAKey+": "+err.Error())
	}
	ca, err := authorityOf(pair)
	if err != nil {
		return nil, f.broken(f.CA, err.Error())
	}
	if now.After(ca.cert.NotAfter) {
		return nil, f.broken(f.CA, "ended on "+ca.cert.NotAfter.Format(time.DateOnly))
	}
	return ca, nil
}

func (f Files) makeAuthority(now time.Time) (*authority, error) {
	ca, err := newAuthority(now)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", f.CA, err)
	}
	key, err := encodeKey(ca.key)
	if err != nil {
		return nil, fmt.Errorf("make %s: %w", f.CAKey, err)
	}
	if err := write(f.CAKey, key, 0o600); err != nil {
		return nil, err
	}
	return ca, write(f.CA, encode(pemCertificate, ca.cert.Raw), 0o644)
}

// serverIsGood reports whether the server certificate is still usable. An unusable certificate is
// no error, since Ensure can replace it. A file that cannot be read is one.
func (f Files) serverIsGood(ca *authority, names []string, now time.Time) (bool, error) {
	chain, certErr := os.ReadFile(f.Cert)
	key, keyErr := os.ReadFile(f.Key)
	for _, err := range []error{certErr, keyErr} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, unreadable(err)
		}
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil || pair.Leaf.CheckSignatureFrom(ca.cert) != nil {
		return false, nil
	}
	if now.Before(pair.Leaf.NotBefore) || now.Add(renewAhead).After(pair.Leaf.NotAfter) {
		return false, nil
	}
	for _, name := range names {
		if pair.Leaf.VerifyHostname(name) != nil {
			return false, nil
		}
	}
	return true, nil
}

// broken returns an error that Ensure cannot repair, because a client may trust the CA.
func (f Files) broken(path, problem string) error {
	return fmt.Errorf("%s %s: put the right file back, or remove %s for a new CA, which clients then have to trust",
		path, problem, filepath.Dir(path))
}

func unreadable(err error) error {
	return fmt.Errorf("read a certificate: %w: let the user that runs ccs read it", err)
}

func write(path string, data []byte, perm os.FileMode) error {
	if err := atomicfile.Write(path, data, perm); err != nil {
		return fmt.Errorf("keep %s: %w", path, err)
	}
	return nil
}
