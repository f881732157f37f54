package record

import (
	"bytes"
	"fmt"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// Compressor compresses records and keeps what its codecs need from one batch to
// the next: a fresh zstd encoder costs 1.6 MB. The zero value is ready; it is not
// safe for concurrent use.
type Compressor struct {
	out      bytes.Buffer
	body     []byte
	snappy   []byte
	gz       *gzip.Writer
	lz       *lz4.Writer
	zs       *zstd.Encoder
	gzl, zsl int
}

var compressors = sync.Pool{New: func() any { return new(Compressor) }}

// BorrowCompressor takes a compressor from a pool.
func BorrowCompressor() *Compressor { return compressors.Get().(*Compressor) }

// Return gives the compressor back.
func (z *Compressor) Return() {
	if z.out.Cap()+cap(z.body)+cap(z.snappy) > 8<<20 {
		z.out, z.body, z.snappy = bytes.Buffer{}, nil, nil
	}
	compressors.Put(z)
}

// compress returns src compressed; the bytes are the compressor's until its next
// use, or src itself for None. Levels are those of KIP-390; 0 is the codec's
// default, and codecs without levels pay them no heed.
func (z *Compressor) compress(c Codec, level int, src []byte) ([]byte, error) {
	z.out.Reset()
	switch c {
	case None:
		return src, nil
	case Gzip:
		if level <= 0 || level > gzip.BestCompression {
			level = gzip.DefaultCompression
		}
		if z.gz == nil || z.gzl != level {
			w, err := gzip.NewWriterLevel(&z.out, level)
			if err != nil {
				return nil, err
			}
			z.gz, z.gzl = w, level
		} else {
			z.gz.Reset(&z.out)
		}
		if _, err := z.gz.Write(src); err != nil {
			return nil, err
		}
		err := z.gz.Close()
		return z.out.Bytes(), err
	case Snappy:
		z.snappy = s2.EncodeSnappy(z.snappy[:cap(z.snappy)], src)
		return z.snappy, nil
	case LZ4:
		if z.lz == nil {
			z.lz = lz4.NewWriter(&z.out)
		} else {
			z.lz.Reset(&z.out)
		}
		if err := z.lz.Apply(lz4.CompressionLevelOption(lz4Level(level))); err != nil {
			return nil, err
		}
		if _, err := z.lz.Write(src); err != nil {
			return nil, err
		}
		err := z.lz.Close()
		return z.out.Bytes(), err
	case Zstd:
		return z.zstd(level, src)
	}
	return nil, fmt.Errorf("%w: %d", ErrUnsupportedCodec, c)
}

// zstd uses the encoder as a stream with one worker: that has no channel, which
// would tie a pooled compressor to the bubble of testing/synctest it was made in.
func (z *Compressor) zstd(level int, src []byte) ([]byte, error) {
	if level == 0 {
		level = 3
	}
	if z.zs == nil || z.zsl != level {
		w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
		if err != nil {
			return nil, err
		}
		z.zs, z.zsl = w, level
	}
	z.zs.ResetContentSize(&z.out, int64(len(src)))
	if _, err := z.zs.Write(src); err != nil {
		return nil, err
	}
	err := z.zs.Close()
	return z.out.Bytes(), err
}

// lz4Level maps Kafka's 1 to 17, whose default 9 means the fast encoder.
func lz4Level(level int) lz4.CompressionLevel {
	if level <= 0 || level == 9 {
		return lz4.Fast
	}
	return lz4.Level1 << (min(level, 9) - 1)
}
