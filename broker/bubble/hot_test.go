package bubble

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// spoil overwrites bytes here and there in the files of a running broker's hot tier that
// have a name.
func (n *node) spoil(rng *rand.Rand, name string) (files int) {
	n.c.t.Helper()
	_ = filepath.WalkDir(filepath.Join(n.dir, "hot"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != name {
			return nil
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return nil
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || info.Size() == 0 {
			return nil
		}
		files++
		for range 20 {
			at := rng.Int64N(min(info.Size(), 4096))
			_, _ = f.WriteAt([]byte{byte(rng.Uint32())}, at)
		}
		return nil
	})
	return files
}

// A hot tier that rots is a cache that misses: consumers get what is in the bucket, and
// a restart on it loses nothing (P1).
func TestARottenHotTierCostsNothing(t *testing.T) {
	inBubble(t, 3, map[string]string{"seal.interval.ms": "2000"}, func(t *testing.T, c *cluster) {
		x := c.begin(t, 1, 4)
		rng := rand.New(rand.NewPCG(1, 1))
		files := 0
		for i := range 6 { // a restart, so that memory holds nothing
			n := c.brokers[i%3]
			time.Sleep(2 * time.Second)
			files += n.spoil(rng, "values")
			n.stop()
			files += n.spoil(rng, "values")
			n.start()
		}
		if files == 0 {
			t.Fatal("nothing was spoilt")
		}
		n := c.brokers[0]
		n.crash()
		n.spoil(rng, "values")
		n.spoil(rng, "00001.mem")
		n.spoil(rng, "MANIFEST")
		n.start()
		time.Sleep(5 * time.Second)
		x.judge()
	})
}

// A hot tier whose files are removed under a running broker loses nothing.
func TestAHotTierThatIsRemovedCostsNothing(t *testing.T) {
	inBubble(t, 3, map[string]string{"seal.interval.ms": "2000"}, func(t *testing.T, c *cluster) {
		x := c.begin(t, 1, 4)
		for i := range 9 {
			time.Sleep(2 * time.Second)
			entries, err := os.ReadDir(filepath.Join(c.brokers[i%3].dir, "hot"))
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				if e.IsDir() {
					os.RemoveAll(filepath.Join(c.brokers[i%3].dir, "hot", e.Name()))
				}
			}
		}
		time.Sleep(5 * time.Second)
		x.judge()
	})
}
