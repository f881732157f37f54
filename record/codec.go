package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

const (
	// MaxDecompressed bounds what one batch may decompress to. The largest batch
	// is 8 MiB; text compresses a hundredfold only when it is an attack.
	MaxDecompressed = 64 << 20
	maxZstdWindow   = 8 << 20
)

// Decoder decompresses batches into a buffer that it reuses. The zero value is
// ready; it is not safe for concurrent use.
type Decoder struct {
	buf  []byte
	src  bytes.Reader
	gz   *gzip.Reader
	lz   *lz4.Reader
	zstd *zstd.Decoder
}

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// BorrowDecoder takes a decoder from a pool.
func BorrowDecoder() *Decoder { return decoders.Get().(*Decoder) }

// Return gives the decoder back; nothing that it decompressed may be used any more.
func (d *Decoder) Return() {
	if cap(d.buf) > 8<<20 {
		d.buf = nil
	}
	decoders.Put(d)
}

// Decompress returns the records of a compressed batch, at most MaxDecompressed
// bytes. They are valid until the decoder's next use.
func (d *Decoder) Decompress(c Codec, b []byte) ([]byte, error) {
	out, err := d.decompress(c, b)
	if err != nil {
		if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnsupportedCodec) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrCorrupt, c, err)
	}
	return out, nil
}

func (d *Decoder) decompress(c Codec, b []byte) ([]byte, error) {
	d.src.Reset(b)
	switch c {
	case None:
		return b, nil
	case Gzip:
		if d.gz == nil {
			r, err := gzip.NewReader(&d.src)
			if err != nil {
				return nil, err
			}
			d.gz = r
		} else if err := d.gz.Reset(&d.src); err != nil {
			return nil, err
		}
		return d.readAll(d.gz)
	case Snappy:
		return d.snappy(b)
	case LZ4:
		if d.lz == nil {
			d.lz = lz4.NewReader(&d.src)
		} else {
			d.lz.Reset(&d.src)
		}
		return d.readAll(d.lz)
	case Zstd:
		if d.zstd == nil {
			z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxDecompressed), zstd.WithDecoderMaxWindow(maxZstdWindow), zstd.WithDecoderLowmem(true))
			if err != nil {
				return nil, err
			}
			d.zstd = z
		}
		out, err := d.zstd.DecodeAll(b, d.buf[:0])
		if err != nil {
			if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
				return nil, fmt.Errorf("%w: more than %d bytes when decompressed", ErrTooLarge, MaxDecompressed)
			}
			return nil, err
		}
		d.buf = out
		return out, nil
	}
	return nil, fmt.Errorf("%w: %d", ErrUnsupportedCodec, c)
}

func (d *Decoder) readAll(r io.Reader) ([]byte, error) {
	out := d.buf[:0]
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		if len(out) > MaxDecompressed {
			return nil, fmt.Errorf("%w: more than %d bytes when decompressed", ErrTooLarge, MaxDecompressed)
		}
		if err == io.EOF {
			d.buf = out
			return out, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// xerial is the header of the framing that Java's snappy library writes: magic,
// version and compatible version, then blocks with their length in front.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

func (d *Decoder) snappy(b []byte) ([]byte, error) {
	out := d.buf[:0]
	if len(b) < 16 || !bytes.Equal(b[:8], xerial) {
		return d.block(out, b)
	}
	for b = b[16:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = d.block(out, b[4:4+n]); err != nil {
			return nil, err
		}
		b = b[4+n:]
	}
	d.buf = out
	return out, nil
}

func (d *Decoder) block(out, b []byte) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err != nil {
		return nil, err
	}
	if n > MaxDecompressed-len(out) {
		return nil, fmt.Errorf("%w: more than %d bytes when decompressed", ErrTooLarge, MaxDecompressed)
	}
	if n > 64*len(b)+64 { // snappy cannot do better: the length lies
		return nil, s2.ErrCorrupt
	}
	at := len(out)
	out = append(out, make([]byte, n)...)
	got, err := s2.Decode(out[at:], b)
	if err != nil {
		return nil, err
	}
	d.buf = out[:at+len(got)]
	return d.buf, nil
}

// compress appends the compressed form of src to dst.
func compress(c Codec, dst, src []byte) ([]byte, error) {
	switch c {
	case None:
		return append(dst, src...), nil
	case Gzip:
		w := &appender{dst}
		z := gzip.NewWriter(w)
		if _, err := z.Write(src); err != nil {
			return nil, err
		}
		err := z.Close()
		return w.b, err
	case Snappy:
		return append(dst, s2.EncodeSnappy(nil, src)...), nil
	case LZ4:
		w := &appender{dst}
		z := lz4.NewWriter(w)
		if _, err := z.Write(src); err != nil {
			return nil, err
		}
		err := z.Close()
		return w.b, err
	case Zstd:
		z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
		if err != nil {
			return nil, err
		}
		defer z.Close()
		return z.EncodeAll(src, dst), nil
	}
	return nil, fmt.Errorf("%w: %d", ErrUnsupportedCodec, c)
}

type appender struct{ b []byte }

func (a *appender) Write(p []byte) (int, error) {
	a.b = append(a.b, p...)
	return len(p), nil
}
