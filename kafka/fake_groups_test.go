package kafka

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/firnlog/firn/coord/group"
)

// fakeGroups coordinates all groups in memory: the machine of package group with
// the thinnest driver there can be.
type fakeGroups struct {
	mu      sync.Mutex
	m       *group.Machine
	ids     int
	err     error // what every call fails with
	commits []group.CommitRequest
}

func newFakeGroups() *fakeGroups {
	g := &fakeGroups{}
	g.m = group.New(group.Config{}, func(prefix string) string {
		g.ids++
		return fmt.Sprintf("%s-%d", prefix, g.ids)
	})
	g.m.Loaded(ms(), ms())
	return g
}

func ms() int64 { return time.Now().UnixMilli() }

// do runs f on the machine and gives out answers.
func (g *fakeGroups) do(f func(m *group.Machine)) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err != nil {
		return g.err
	}
	f(g.m)
	g.m.Tick(ms(), ms())
	for _, a := range g.m.Take().Answers {
		a.Token.(chan any) <- a.Response
	}
	return nil
}

// wait does f and waits for its answer, while time passes.
func (g *fakeGroups) wait(ctx context.Context, f func(m *group.Machine, token any)) (any, error) {
	token := make(chan any, 1)
	if err := g.do(func(m *group.Machine) { f(m, token) }); err != nil {
		return nil, err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case a := <-token:
			return a, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
			g.do(func(*group.Machine) {})
		}
	}
}

func (g *fakeGroups) Join(ctx context.Context, r *group.JoinRequest) (group.JoinResponse, error) {
	a, err := g.wait(ctx, func(m *group.Machine, token any) { m.Join(ms(), ms(), r, token) })
	if err != nil {
		return group.JoinResponse{}, err
	}
	return a.(group.JoinResponse), nil
}

func (g *fakeGroups) Sync(ctx context.Context, r *group.SyncRequest) (group.SyncResponse, error) {
	a, err := g.wait(ctx, func(m *group.Machine, token any) { m.Sync(ms(), ms(), r, token) })
	if err != nil {
		return group.SyncResponse{}, err
	}
	return a.(group.SyncResponse), nil
}

func (g *fakeGroups) Heartbeat(_ context.Context, r *group.HeartbeatRequest) (err error) {
	if e := g.do(func(m *group.Machine) { err = m.Heartbeat(ms(), r) }); e != nil {
		return e
	}
	return err
}

func (g *fakeGroups) Leave(_ context.Context, r *group.LeaveRequest) (a group.LeaveResponse, err error) {
	err = g.do(func(m *group.Machine) { a = m.Leave(ms(), ms(), r) })
	return a, err
}

func (g *fakeGroups) CommitOffsets(_ context.Context, r *group.CommitRequest) (a group.CommitResponse, err error) {
	g.commits = append(g.commits, *r)
	err = g.do(func(m *group.Machine) { a = m.Commit(ms(), ms(), r) })
	return a, err
}

func (g *fakeGroups) FetchOffsets(_ context.Context, r *group.FetchRequest) (a group.FetchResponse, err error) {
	err = g.do(func(m *group.Machine) { a = m.Fetch(r) })
	return a, err
}

func (g *fakeGroups) DeleteOffsets(_ context.Context, r *group.DeleteOffsetsRequest) (a group.DeleteOffsetsResponse, err error) {
	err = g.do(func(m *group.Machine) { a = m.DeleteOffsets(r) })
	return a, err
}

func (g *fakeGroups) Describe(_ context.Context, id string) (d group.Description, err error) {
	err = g.do(func(m *group.Machine) { d = m.Describe(id) })
	return d, err
}

func (g *fakeGroups) List(_ context.Context, states []string) (l []group.Listed, err error) {
	err = g.do(func(m *group.Machine) { l = m.List(states) })
	return l, err
}

func (g *fakeGroups) Delete(_ context.Context, id string) (err error) {
	if e := g.do(func(m *group.Machine) { err = m.Delete(id) }); e != nil {
		return e
	}
	return err
}
