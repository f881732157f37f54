package broker

import (
	"context"
	"testing"

	"github.com/firnlog/firn/broker/settings"
	"github.com/firnlog/firn/tier/cold/fault"
	"github.com/firnlog/firn/tier/cold/mem"
	"github.com/firnlog/firn/tier/cold/open"
)

// Ctrl-C while a broker examines its bucket, or waits for it, is a clean stop.
func TestABrokerThatIsStoppedWhileItStartsHasNothingToReport(t *testing.T) {
	values, err := settings.New(settings.Source{Name: "test", Values: map[string]string{"store": "mem://", "listeners": "127.0.0.1:0", "http": "127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	place, err := open.Parse("mem://")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	store := fault.Wrap(mem.New(), func(fault.Call) fault.Fault {
		stop() // while it is asked
		return fault.Healthy(fault.Call{})
	})
	if err := Run(ctx, Options{Settings: values, Store: store, Place: place}, func(Addresses) { t.Error("it served") }); err != nil {
		t.Errorf("a broker that was stopped while it started ended with %v", err)
	}
}
