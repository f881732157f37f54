package main

import (
	"encoding/json"
	"io"
	"time"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordLine is a record as a line of JSON. What is not UTF-8 is given as base64
// instead, so that nothing is lost; a tombstone's value is null.
type recordLine struct {
	Topic       string       `json:"topic"`
	Partition   int32        `json:"partition"`
	Offset      int64        `json:"offset"`
	Timestamp   string       `json:"timestamp"`
	Key         *string      `json:"key"`
	KeyBase64   []byte       `json:"key_base64,omitempty"`
	Value       *string      `json:"value"`
	ValueBase64 []byte       `json:"value_base64,omitempty"`
	Headers     []headerLine `json:"headers,omitempty"`
}

type headerLine struct {
	Key         string  `json:"key"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64,omitempty"`
}

func newRecordLine(r *kgo.Record) recordLine {
	l := recordLine{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC().Format(time.RFC3339Nano)}
	l.Key, l.KeyBase64 = printable(r.Key)
	l.Value, l.ValueBase64 = printable(r.Value)
	for _, h := range r.Headers {
		x := headerLine{Key: h.Key}
		x.Value, x.ValueBase64 = printable(h.Value)
		l.Headers = append(l.Headers, x)
	}
	return l
}

func printable(b []byte) (*string, []byte) {
	switch {
	case b == nil:
		return nil, nil
	case !utf8.Valid(b):
		return nil, b
	}
	s := string(b)
	return &s, nil
}

// recordPrinter prints records by verbs, or as lines of JSON when no verbs were
// given. It is nil when nothing is to be printed.
func recordPrinter(g *globals, given bool, format string, out io.Writer) (func(*kgo.Record) error, error) {
	if !given {
		switch g.format {
		case "json":
			e := json.NewEncoder(out)
			e.SetEscapeHTML(false)
			return func(r *kgo.Record) error { return e.Encode(newRecordLine(r)) }, nil
		case "yaml":
			return nil, usage("--format yaml: records are printed as text or json")
		}
	}
	if format == "" {
		return nil, nil
	}
	f, err := kgo.NewRecordFormatter(format)
	if err != nil {
		return nil, usage("format of records %q: %w", format, err)
	}
	var buf []byte
	return func(r *kgo.Record) error {
		buf = f.AppendRecord(buf[:0], r)
		_, err := out.Write(buf)
		return err
	}, nil
}
