package events_test

import (
	"testing"

	"github.com/slipway-ml/slipway/events"
)

func BenchmarkDecode(b *testing.B) {
	for name, message := range map[string]struct {
		header events.Header
		body   string
	}{
		"structured": {events.Header{"Content-Type": {events.ContentType}}, structured},
		"binary":     {binary(), data},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			body := []byte(message.body)
			for b.Loop() {
				if _, err := events.Decode(message.header, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkReadCommand(b *testing.B) {
	b.ReportAllocs()
	body := []byte(structured)
	for b.Loop() {
		if _, err := events.ReadCommand(nil, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		e, err := fact().Event()
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := events.Encode(e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFactEncode(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := fact().Encode(); err != nil {
			b.Fatal(err)
		}
	}
}
