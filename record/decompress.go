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
	// MaxDecompressed bounds what one batch may decompress to, in bytes: eight
	// times the largest batch that a topic may allow.
	MaxDecompressed = 64 << 20
	// MaxRatio bounds how many times its size a batch may decompress to; text
	// compresses a hundredfold only when it is an attack.
	MaxRatio = 100
	// FreeRatio is up to where MaxRatio does not count: a few records of zeros,
	// which no client's default limits let grow beyond it, are no attack.
	FreeRatio = 4 << 20
	// MaxWindow bounds the window of a zstd frame: what level 19 uses at most.
	MaxWindow = 8 << 20
)

// limit is what n compressed bytes may become.
func limit(n int) int {
	if n > MaxDecompressed/MaxRatio {
		return MaxDecompressed
	}
	return max(n*MaxRatio, FreeRatio)
}

// Decoder decompresses batches into a buffer that it reuses. The zero value is
// ready; it is not safe for concurrent use.
type Decoder struct {
	buf []byte
	src bytes.Reader
	gz  *gzip.Reader
	lz  *lz4.Reader
}

var decoders = sync.Pool{New: func() any { return new(Decoder) }}

// unzstd is shared by all decoders: it hands its parts out over a channel. It is
// made when the program starts because a channel that is made inside a bubble of
// testing/synctest must not be used outside, and nobody knows where a lazily made
// one would be born. Its parts are small until they are used.
var unzstd = func() *zstd.Decoder {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxDecompressed), zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("record: " + err.Error()) // the options are constants
	}
	return z
}()

// BorrowDecoder takes a decoder from a pool.
func BorrowDecoder() *Decoder { return decoders.Get().(*Decoder) }

// Return gives the decoder back; nothing that it decompressed may be used any more.
func (d *Decoder) Return() {
	if cap(d.buf) > 8<<20 {
		d.buf = nil
	}
	d.src.Reset(nil)
	decoders.Put(d)
}

// Decompress returns the records of a compressed batch. They are valid until the
// decoder's next use. It takes no more memory than MaxDecompressed and MaxRatio
// allow, and beyond them fails with ErrTooLarge; with ErrUnsupportedCodec it fails
// on codecs that do not exist, and with ErrInvalidRecord on bytes that the codec
// does not read: the CRC was right, so sending the batch again does not help.
func (d *Decoder) Decompress(c Codec, b []byte) ([]byte, error) {
	out, err := d.decompress(c, b)
	if err != nil {
		if errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnsupportedCodec) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrInvalidRecord, c, err)
	}
	return out, nil
}

func (d *Decoder) decompress(c Codec, b []byte) ([]byte, error) {
	most := limit(len(b))
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
		return d.readAll(d.gz, len(b), most)
	case Snappy:
		return d.snappy(b, most)
	case LZ4:
		if d.lz == nil {
			d.lz = lz4.NewReader(&d.src)
		} else {
			d.lz.Reset(&d.src)
		}
		return d.readAll(d.lz, len(b), most)
	case Zstd:
		return d.zstd(b, most)
	}
	return nil, fmt.Errorf("%w: %d", ErrUnsupportedCodec, c)
}

func tooLarge(most int) error {
	return fmt.Errorf("%w: more than %d bytes when decompressed", ErrTooLarge, most)
}

// room empties the buffer and gives it space for n bytes. It grows with what came
// out, never with what a header promises, as far as the codec lets it.
func (d *Decoder) room(n int) []byte {
	if cap(d.buf) < n {
		d.buf = make([]byte, 0, n)
	}
	return d.buf[:0]
}

func (d *Decoder) readAll(r io.Reader, n, most int) ([]byte, error) {
	out := d.room(min(max(4*n, 4<<10), most))
	for idle := 0; ; {
		if len(out) == cap(out) {
			grown := make([]byte, len(out), min(2*cap(out), most+1))
			copy(grown, out)
			out = grown
		}
		n, err := r.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		d.buf = out
		switch {
		case len(out) > most:
			return nil, tooLarge(most)
		case err == io.EOF:
			return out, nil
		case err != nil:
			return nil, err
		case n > 0:
			idle = 0
		default:
			if idle++; idle > 100 {
				return nil, io.ErrNoProgress
			}
		}
	}
}

// zstd tries with a small buffer first: the size that a frame states may lie.
func (d *Decoder) zstd(b []byte, most int) ([]byte, error) {
	for n := min(max(4*len(b), 4<<10), most); ; n = min(4*n, most) {
		out := d.room(n)
		n = min(cap(out), most)
		out, err := unzstd.DecodeAll(b, out[:0:n])
		switch {
		case err == nil:
			return out, nil
		case errors.Is(err, zstd.ErrWindowSizeExceeded):
			return nil, fmt.Errorf("%w: a zstd window of more than %d bytes", ErrTooLarge, MaxWindow)
		case !errors.Is(err, zstd.ErrDecoderSizeExceeded):
			return nil, err
		case n == most:
			return nil, tooLarge(most)
		}
	}
}

// xerial is the header of the framing that Java's snappy library writes: magic,
// then version and compatible version, four bytes each; then blocks with their
// length in front.
var xerial = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

const xerialHeader = 16

func (d *Decoder) snappy(b []byte, most int) ([]byte, error) {
	out := d.buf[:0]
	if len(b) < xerialHeader || !bytes.Equal(b[:len(xerial)], xerial) {
		return d.block(out, b, most)
	}
	for b = b[xerialHeader:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(b)
		if uint64(n) > uint64(len(b)-4) {
			return nil, io.ErrUnexpectedEOF
		}
		var err error
		if out, err = d.block(out, b[4:4+n], most); err != nil {
			return nil, err
		}
		b = b[4+n:]
	}
	return out, nil
}

func (d *Decoder) block(out, b []byte, most int) ([]byte, error) {
	n, err := s2.DecodedLen(b)
	if err != nil {
		return nil, err
	}
	if n > most-len(out) {
		return nil, tooLarge(most)
	}
	at := len(out)
	out = append(out, make([]byte, n)...)
	d.buf = out
	got, err := s2.Decode(out[at:], b)
	if err != nil {
		return nil, err
	}
	return out[:at+len(got)], nil
}
