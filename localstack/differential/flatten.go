package main

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// line is one value of an answer, and where in it it stands.
type line struct{ path, value string }

// keys name the elements of an array: its order is the broker's choice. The first of
// these fields that an element has counts.
var keys = []string{"Topic", "TopicID", "Partition", "Name", "ResourceName", "Group", "GroupID", "Key", "NodeID", "ApiKey", "MemberID", "Dir", "EntityType"}

// flatten makes lines of an answer.
func flatten(r kmsg.Response, symbols map[string]string) []line {
	f := &flattening{symbols: symbols}
	f.value("", "", reflect.ValueOf(r).Elem())
	return f.out
}

type flattening struct {
	symbols map[string]string
	out     []line
}

func (f *flattening) add(path, value string) { f.out = append(f.out, line{path, value}) }

func (f *flattening) value(path, field string, v reflect.Value) {
	switch {
	case field == "Version" && strings.Count(path, ".") == 0 && v.Kind() == reflect.Int16, field == "UnknownTags":
		return
	case v.Type() == reflect.TypeFor[[16]byte]():
		f.add(path, f.id(v))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			f.add(path, "null")
			return
		}
		f.value(path, field, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			t := v.Type().Field(i)
			if v.Type() == reflect.TypeFor[kmsg.RecordBatch]() && (t.Name == "CRC" || t.Name == "Records") {
				continue // batches shows them its own way
			}
			f.value(strings.TrimPrefix(path+"."+t.Name, "."), t.Name, v.Field(i))
		}
	case reflect.Slice:
		f.list(path, field, v)
	default:
		f.add(path, f.scalar(field, v))
	}
}

func (f *flattening) id(v reflect.Value) string {
	b := v.Interface().([16]byte)
	if b == [16]byte{} {
		return "zero"
	}
	if s, ok := f.symbols[hex.EncodeToString(b[:])]; ok {
		return s
	}
	return "an id"
}

func (f *flattening) list(path, field string, v reflect.Value) {
	if v.IsNil() {
		f.add(path, "null")
		return
	}
	if b, ok := v.Interface().([]byte); ok {
		if field == "RecordBatches" {
			f.batches(path, b)
		} else {
			f.add(path, hex.EncodeToString(b))
		}
		return
	}
	if v.Type().Elem().Kind() != reflect.Struct {
		var all []string
		for i := range v.Len() {
			all = append(all, f.scalar(field, v.Index(i)))
		}
		f.add(path, "["+strings.Join(all, " ")+"]")
		return
	}
	f.add(path+"#", strconv.Itoa(v.Len()))
	seen := map[string]int{}
	for i := range v.Len() {
		k := f.key(v.Index(i))
		if seen[k]++; k == "" || seen[k] > 1 {
			k += "#" + strconv.Itoa(max(seen[k]-1, 0))
		}
		f.value(path+"["+k+"]", field, v.Index(i))
	}
}

func (f *flattening) key(v reflect.Value) string {
	for _, k := range keys {
		x := v.FieldByName(k)
		if !x.IsValid() || k == "TopicID" && x.IsZero() {
			continue
		}
		if x.Type() == reflect.TypeFor[[16]byte]() {
			return f.id(x)
		}
		if x.Kind() == reflect.Pointer {
			if x.IsNil() {
				continue
			}
			x = x.Elem()
		}
		if s := f.scalar(k, x); s != "" {
			return s
		}
	}
	return ""
}

// memberID is an id that a coordinator gave to a member.
var memberID = regexp.MustCompile(`^(differential|instance)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func (f *flattening) scalar(field string, v reflect.Value) string {
	s := fmt.Sprint(v.Interface())
	if symbol, ok := f.symbols[s]; ok && (v.Kind() == reflect.String || field == "ProducerID" || field == "SessionID") {
		return symbol
	}
	if m := memberID.FindStringSubmatch(s); m != nil {
		return m[1] + "-some-id"
	}
	switch field {
	case "ErrorMessage", "Documentation":
		if s != "" {
			return "text"
		}
	case "ClusterID", "Host":
		if s != "" {
			return "text"
		}
	case "Port":
		if s != "0" && s != "-1" {
			return "a port"
		}
	case "LogAppendTime", "Timestamp", "FirstTimestamp", "MaxTimestamp":
		if ms := v.Int(); ms > time.Now().Add(-2*time.Minute).UnixMilli() && ms < time.Now().Add(time.Minute).UnixMilli() {
			return "now"
		}
	}
	return s
}

// batches shows the headers of record batches, and a hash of their records.
func (f *flattening) batches(path string, b []byte) {
	for i := 0; len(b) > 0; i++ {
		at := fmt.Sprintf("%s[batch %d]", path, i)
		size := len(b)
		if len(b) >= 12 {
			size = min(size, 12+int(int32(binary.BigEndian.Uint32(b[8:]))))
		}
		var h kmsg.RecordBatch
		if err := h.ReadFrom(b[:size]); err != nil || size < 61 {
			f.add(at, fmt.Sprintf("cut: %d bytes", len(b)))
			return
		}
		sum := sha256.Sum256(h.Records)
		f.value(at, "", reflect.ValueOf(h))
		if h.Attributes&8 == 0 { // with LogAppendTime it depends on the clock
			f.add(at+".CRC", fmt.Sprint(h.CRC))
		}
		f.add(at+".Records", hex.EncodeToString(sum[:4]))
		b = b[size:]
	}
}
