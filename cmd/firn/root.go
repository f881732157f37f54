package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/firnlog/firn/broker/settings"
)

// formats are how an answer is printed.
var formats = []string{"text", "wide", "json", "yaml"}

// globals are the flags that every command has.
type globals struct {
	brokers  string
	clientID string
	format   string
	json     bool
	timeout  time.Duration
	yes      bool
	quiet    bool
	profile  string
	from     string   // where brokers comes from, when nobody has typed it this time: " (profile NAME)"
	pairs    []string // -X
	begun    bool     // flags and arguments were understood
}

const (
	defaultBrokers = "localhost:9092"
	defaultTimeout = 10 * time.Second
)

// run is the program: its exit code.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	g := &globals{}
	root := newRoot(g)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitError
	var e *exit
	switch {
	case errors.As(err, &e):
		code = e.code
	case !g.begun:
		code = exitUsage
	}
	text := err.Error()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		text = "interrupted" // whatever was asked at that moment
	}
	if text != "" {
		fmt.Fprintln(errOut, "firn: "+text)
	}
	return code
}

func newRoot(g *globals) *cobra.Command {
	root := newGroup("firn", "A Kafka-compatible log on object storage")
	root.Long = "Firn is a Kafka-compatible log whose records live in object storage: a bucket and any number of identical brokers."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		g.begun = true
		return g.resolve(cmd)
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.DisableDescriptions = false
	f := root.PersistentFlags()
	f.StringVar(&g.brokers, "brokers", defaultBrokers, "`HOST:PORT,…` of brokers, for client commands ($FIRN_BROKERS)")
	f.StringVar(&g.format, "format", "text", "how to print: `text`, wide, json or yaml ($FIRN_FORMAT)")
	f.BoolVar(&g.json, "json", false, "the same as --format json")
	f.StringVar(&g.profile, "profile", "", "`NAME` of a profile: what firn profile create has kept of a cluster ($FIRN_PROFILE)")
	f.DurationVar(&g.timeout, "timeout", defaultTimeout, "how long a client command may wait for an answer ($FIRN_TIMEOUT)")
	f.BoolVarP(&g.yes, "yes", "y", false, "do not ask before something is destroyed")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "print results only")
	f.StringArrayVarP(&g.pairs, "set", "X", nil, "`NAME=VALUE`: a setting of a broker; brokers, client.id, format or timeout of a client command")
	_ = root.RegisterFlagCompletionFunc("format", words(formats...))
	_ = root.RegisterFlagCompletionFunc("profile", completeProfiles)
	_ = root.RegisterFlagCompletionFunc("set", completeSettings)
	root.AddCommand(newDev(g), newBroker(g), newTopic(g), newProduce(g), newConsume(g), newGroups(g), newCluster(g), newReplay(g), newObject(g), newCatalog(g), newDoctor(g), newGenerate(), newCost(g), newProfile(g), newVersion(g), newSettingsHelp())
	root.SetHelpCommand(newHelp())
	return root
}

// newHelp is firn help COMMAND. Cobra's own prints the help of the program for what does not
// exist, and succeeds.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:   "help [command]",
		Short: "Help about any command",
		ValidArgsFunction: func(cmd *cobra.Command, given []string, prefix string) ([]string, cobra.ShellCompDirective) {
			var out []string
			if of, left, err := cmd.Root().Find(given); err == nil && len(left) == 0 {
				for _, c := range of.Commands() {
					if !c.Hidden && strings.HasPrefix(c.Name(), prefix) {
						out = append(out, c.Name()+"\t"+c.Short)
					}
				}
			}
			return out, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			of, left, err := cmd.Root().Find(args)
			if err != nil {
				return usage("%w", err)
			}
			if of.HasSubCommands() && of.Args != nil {
				if err := of.Args(of, left); err != nil { // it says what was meant
					return err
				}
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// newGroup is a command that only has commands below it.
func newGroup(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			hint := fmt.Sprintf("%s --help lists them", cmd.CommandPath())
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = fmt.Sprintf("did you mean %q?", near[0])
			}
			return usage("unknown command %q of %s; %s", args[0], cmd.CommandPath(), hint)
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.DisableFlagsInUseLine = true
	cmd.AddCommand(below...)
	return cmd
}

// flagError explains a flag that is not understood.
func flagError(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help lists the flags"
	if bad := (*pflag.InvalidValueError)(nil); errors.As(err, &bad) {
		if want := wanted(bad); want != "" {
			return usage("--%s %q: want %s; %s", bad.GetFlag().Name, bad.GetValue(), want, hint)
		}
	}
	if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
		near, found := settings.Nearest(name, func(yield func(string) bool) {
			for _, flags := range flagSets(cmd) {
				for _, n := range flags {
					if !yield(n) {
						return
					}
				}
			}
		})
		if found {
			hint = "did you mean --" + near + "?"
		}
	}
	return usage("%w; %s", err, hint)
}

// wanted is what a flag's value has to be that Go's own parsers have refused, in words for
// those who do not know them; empty when somebody else did, who says so himself.
func wanted(bad *pflag.InvalidValueError) string {
	number := (*strconv.NumError)(nil)
	switch is := errors.As(bad, &number); bad.GetFlag().Value.Type() {
	case "duration":
		return "a time, such as 500ms, 10s or 1m"
	case "bool":
		return "true or false"
	case "int", "int32", "int64", "uint", "uint64", "int32Slice":
		switch {
		case !is:
		case errors.Is(number, strconv.ErrRange):
			return "a number that is not so large"
		case strings.HasPrefix(bad.GetFlag().Value.Type(), "uint"):
			return "a whole number, 0 or more"
		default:
			return "a whole number"
		}
	}
	return ""
}

// resolve gives the flags of all commands their values: flag, then -X, then
// environment, then profile, then default. It is run before a command, and by completions.
func (g *globals) resolve(cmd *cobra.Command) error {
	pairs, err := g.clientPairs(cmd)
	if err != nil {
		return err
	}
	name, p, err := g.chosen(cmd)
	if err != nil {
		return err
	}
	g.clientID = cmp.Or(pairs["client.id"], p["client.id"], "firn-cli/"+programVersion())
	for _, option := range []string{"brokers", "format", "timeout"} {
		f := cmd.Root().PersistentFlags().Lookup(option) // dev and replay have flags of their own by these names
		if f.Changed {
			continue
		}
		value, from := pairs[option], "-X "+option
		if value == "" {
			value, from = os.Getenv(clientVariable(option)), clientVariable(option)
		}
		if value == "" {
			if value, from = p[option], "profile "+name; value != "" && option == "brokers" {
				g.from = " (" + from + ")"
			}
		}
		if value == "" {
			continue
		}
		if err := f.Value.Set(value); err != nil {
			return usage("%s: %w", from, err)
		}
	}
	if f := clientFlag(cmd, "store"); f != nil {
		if value := cmp.Or(os.Getenv("FIRN_STORE"), p["store"]); value != "" {
			_ = f.Value.Set(value) // any text: who opens it checks it
		}
	}
	if f := clientFlag(cmd, "http"); f != nil && p["http"] != "" { // $FIRN_HTTP is a broker's
		value := p["http"]
		if f.Value.Type() == "string" {
			value, _, _ = strings.Cut(value, ",") // one is asked
		}
		_ = f.Value.Set(value)
	}
	if g.json {
		g.format = "json"
	}
	if !slices.Contains(formats, g.format) {
		return usage("--format %q: want text, wide, json or yaml", g.format)
	}
	if g.timeout <= 0 {
		return usage("--timeout %v: want a duration such as 10s", g.timeout)
	}
	return nil
}

// clientPairs are the -X of a client command.
func (g *globals) clientPairs(cmd *cobra.Command) (map[string]string, error) {
	pairs := map[string]string{}
	if cmd.Annotations[isBroker] != "" {
		return pairs, nil
	}
	for _, kv := range g.pairs {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			return nil, usage("-X %q: want NAME=VALUE", kv)
		}
		if !slices.Contains(clientOptions, k) {
			hint := "want one of " + strings.Join(clientOptions, ", ")
			if near, ok := settings.Nearest(k, slices.Values(clientOptions)); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			return nil, usage("-X: unknown option %q of a client command; %s", k, hint)
		}
		pairs[k] = v
	}
	return pairs, nil
}

// chosen is the profile of a client command: none of a broker's, and of those that change
// profiles, which work also when the one in use is gone.
func (g *globals) chosen(cmd *cobra.Command) (name string, p profile, err error) {
	if cmd.Annotations[isBroker] != "" || cmd.HasParent() && cmd.Parent().Name() == "profile" {
		return "", nil, nil
	}
	f, err := readProfiles()
	if err == nil {
		name = g.profileIn(f)
		p, err = f.get(name)
	}
	if err != nil {
		return "", nil, usage("%w", err)
	}
	return name, p, nil
}

// profileIn is the name of the profile that counts.
func (g *globals) profileIn(f *profileFile) string {
	return cmp.Or(g.profile, os.Getenv(clientVariable("profile")), f.Current)
}

// clientFlag is a flag of a client command that nobody has set; nil for that of a broker,
// which is a setting.
func clientFlag(cmd *cobra.Command, name string) *pflag.Flag {
	f := cmd.Flags().Lookup(name)
	if f == nil || f.Changed || cmd.Annotations[isBroker] != "" {
		return nil
	}
	return f
}

// isBroker marks commands whose -X are settings of a broker.
const isBroker = "broker"

// clientOptions are the names that -X knows in client commands.
var clientOptions = []string{"brokers", "client.id", "format", "timeout"}

func clientVariable(name string) string { return "FIRN_" + strings.ToUpper(name) }

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage("%s takes no arguments, got %q", cmd.CommandPath(), args)
	}
	return nil
}

// An argument that is empty is a variable of a script that is not set: it names nothing.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n || slices.Contains(args, "") {
			return usage("%s wants %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}

func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || slices.Contains(args, "") {
			return usage("%s wants %s; see %s --help", cmd.CommandPath(), what, cmd.CommandPath())
		}
		return nil
	}
}
