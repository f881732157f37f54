package gossip

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/hashicorp/memberlist"
)

// ErrKeys says that a file of keys cannot be used.
var ErrKeys = errors.New("not a file of gossip keys")

// mostKeys bounds what is tried on every message.
const mostKeys = 8

// keys are what gossip is sealed with (AES-GCM). They are in a file, a line each, in
// base64: the first seals, all open. So a key is changed while everybody runs: put
// the new one last into every broker's file, then first, then take the old one out.
type keys struct {
	path string
	ring *memberlist.Keyring

	mu   sync.Mutex
	text []byte // of the file, when it was read last; guarded by mu
}

// openKeys reads the file. Without a path gossip is not sealed, and the keys are nil.
func openKeys(path string) (*keys, error) {
	if path == "" {
		return nil, nil
	}
	k := &keys{path: path}
	text, all, err := k.read()
	if err == nil {
		k.ring, err = memberlist.NewKeyring(all[1:], all[0])
	}
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	k.text = text
	return k, nil
}

func (k *keys) read() (text []byte, all [][]byte, err error) {
	if text, err = os.ReadFile(k.path); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrKeys, err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		key, err := base64.StdEncoding.AppendDecode(nil, line)
		if err != nil || memberlist.ValidateKey(key) != nil {
			return nil, nil, fmt.Errorf("%w: %s, line %d: want 16, 24 or 32 bytes in base64, as openssl rand -base64 32 prints", ErrKeys, k.path, n)
		}
		all = append(all, key)
	}
	switch {
	case lines.Err() != nil:
		return nil, nil, fmt.Errorf("%w: %s: %w", ErrKeys, k.path, lines.Err())
	case len(all) == 0:
		return nil, nil, fmt.Errorf("%w: %s holds no key; want one in base64 on each line", ErrKeys, k.path)
	case len(all) > mostKeys:
		return nil, nil, fmt.Errorf("%w: %s holds %d keys, at most %d are tried", ErrKeys, k.path, len(all), mostKeys)
	}
	return text, all, nil
}

// reload reads the file again and reports whether it has changed. On an error the
// keys stay as they are.
func (k *keys) reload() (changed bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	text, all, err := k.read()
	if err != nil || bytes.Equal(text, k.text) {
		return false, err
	}
	for _, key := range all {
		if err := k.ring.AddKey(key); err != nil {
			return false, err
		}
	}
	for _, old := range slices.Clone(k.ring.GetKeys()) {
		// Each time, since this copies the list that messages are being opened with;
		// RemoveKey changes it in place.
		if err := k.ring.UseKey(all[0]); err != nil {
			return false, err
		}
		if !slices.ContainsFunc(all, func(key []byte) bool { return bytes.Equal(key, old) }) {
			if err := k.ring.RemoveKey(old); err != nil {
				return false, err
			}
		}
	}
	k.text = text
	return true, nil
}
