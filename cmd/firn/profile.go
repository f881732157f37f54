package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/open"
)

// newProfile groups what is done to profiles: names for what client commands need to
// know of a cluster.
func newProfile(g *globals) *cobra.Command {
	cmd := newGroup("profile", "Name clusters, and choose the one that commands are about",
		profileCreate(g), profileUse(g), profileList(g), profileShow(g), profileDelete(g))
	cmd.Long = `A profile holds what client commands would be told by flags each time: the brokers of
a cluster, its bucket, its HTTP listeners. A flag counts more than -X, that more than a
FIRN_… variable, that more than the profile. The profile is that of --profile or
$FIRN_PROFILE, else the one that firn profile use has chosen. The profile "default" is
always there and holds nothing. firn broker and firn dev know no profiles.`
	return cmd
}

// noProfile is the name of the profile that holds nothing.
const noProfile = "default"

// profile is what is known of a cluster, by the names of -X.
type profile map[string]string

// profileNames are the names in a profile.
var profileNames = []string{"brokers", "client.id", "format", "http", "store", "timeout"}

// check says what is wrong with a value of a profile. A store's URL is not repeated: there
// may be a secret in it (H4).
func (p profile) check(name, value string) error {
	var err error
	switch name {
	case "store":
		_, err = open.Parse(value)
	case "timeout":
		if d, derr := time.ParseDuration(value); derr != nil || d <= 0 {
			err = fmt.Errorf("%q: want a time, such as 500ms, 10s or 1m", value)
		}
	case "format":
		if !slices.Contains(formats, value) {
			err = fmt.Errorf("%q: want text, wide, json or yaml", value)
		}
	default:
		if strings.TrimSpace(value) == "" {
			err = errors.New("it is empty")
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// profileFile is the profiles of whoever types, in a file of his.
type profileFile struct {
	path     string
	Current  string             `yaml:"current"`
	Profiles map[string]profile `yaml:"profiles"`
}

// readProfiles reads the file. Who has none, or no home to look into, has no profiles: a
// container's health check runs as somebody else.
func readProfiles() (*profileFile, error) {
	f := &profileFile{Current: noProfile, Profiles: map[string]profile{}}
	dir, err := os.UserConfigDir()
	if err != nil {
		return f, nil
	}
	f.path = filepath.Join(dir, "firn", "profiles.yaml")
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("profiles: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("profiles: %s: %w", f.path, err)
	}
	if f.Current == "" {
		f.Current = noProfile
	}
	for name, p := range f.Profiles {
		for k, v := range p {
			if !slices.Contains(profileNames, k) {
				return nil, fmt.Errorf("profiles: %s: %s: unknown name %q; want one of %s", f.path, name, k, strings.Join(profileNames, ", "))
			}
			if err := p.check(k, v); err != nil {
				return nil, fmt.Errorf("profiles: %s: %s: %w", f.path, name, err)
			}
		}
	}
	return f, nil
}

// write replaces the file.
func (f *profileFile) write() error {
	if f.path == "" {
		return errors.New("profiles: there is no folder for them: set HOME or XDG_CONFIG_HOME")
	}
	b, err := yaml.Marshal(f)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(f.path), 0o755)
	}
	if err == nil {
		err = replaceFile(f.path, b)
	}
	if err != nil {
		return fmt.Errorf("profiles: %w", err)
	}
	return nil
}

// get finds a profile by its name.
func (f *profileFile) get(name string) (profile, error) {
	if p, ok := f.Profiles[name]; ok {
		return p, nil
	}
	if name == noProfile {
		return profile{}, nil
	}
	hint := "`firn profile list` shows what there is"
	if near, ok := settings.Nearest(name, maps.Keys(f.Profiles)); ok {
		hint = fmt.Sprintf("did you mean %q?", near)
	}
	return nil, fmt.Errorf("no such profile: %s; %s", name, hint)
}

// names are the names of all profiles, sorted.
func (f *profileFile) names() []string {
	return slices.Sorted(maps.Keys(f.Profiles))
}

// completeProfiles completes names of profiles.
func completeProfiles(_ *cobra.Command, given []string, _ string) ([]string, cobra.ShellCompDirective) {
	f, err := readProfiles()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return slices.DeleteFunc(append(f.names(), noProfile), func(n string) bool { return slices.Contains(given, n) }), cobra.ShellCompDirectiveNoFileComp
}
