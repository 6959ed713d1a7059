package main

import (
	"log"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// pipeline keeps which input waits for which output's PubAck.
type pipeline struct {
	js      jetstream.JetStream
	lock    sync.Mutex
	waiting map[*nats.Msg]jetstream.Msg
}

func newPipeline() *pipeline {
	return &pipeline{waiting: make(map[*nats.Msg]jetstream.Msg, maxInFlight)}
}

func (p *pipeline) consume(input jetstream.Msg) {
	var purchase PurchaseCreated
	if err := unmarshal(input.Data(), &purchase); err != nil {
		_ = input.TermWithReason(err.Error())
		return
	}
	acknowledge(input)
}

func (p *pipeline) process(input jetstream.Msg) {
	var purchase PurchaseCreated
	if err := unmarshal(input.Data(), &purchase); err != nil {
		_ = input.TermWithReason(err.Error())
		return
	}
	metadata, err := input.Metadata()
	if err != nil {
		log.Print(err)
		return
	}
	subject, outcome := decide(&purchase)
	payload, err := marshal(outcome)
	if err != nil {
		_ = input.TermWithReason(err.Error())
		return
	}
	cause := strconv.FormatUint(metadata.Sequence.Stream, 10)
	output := &nats.Msg{
		Subject: subject + "." + purchase.PurchaseID,
		Data:    payload,
		Header: nats.Header{ // set as a map: the options of PublishMsgAsync cost more
			"Nats-Msg-Id":                                 {"bench:decide:PURCHASES:" + cause + ":" + subject},
			"Nats-Expected-Last-Subject-Sequence":         {"0"},
			"Nats-Expected-Last-Subject-Sequence-Subject": {"orders.*." + purchase.PurchaseID},
		},
	}
	p.lock.Lock()
	p.waiting[output] = input
	p.lock.Unlock()
	if _, err := p.js.PublishMsgAsync(output); err != nil {
		log.Print(err)
		_ = p.take(output).Nak()
	}
}

// stored is called for each PubAck, on nats.go's own goroutine.
func (p *pipeline) stored(_ jetstream.JetStream, output *nats.Msg, _ *jetstream.PubAck) {
	acknowledge(p.take(output))
}

func (p *pipeline) refused(_ jetstream.JetStream, output *nats.Msg, err error) {
	log.Print(err)
	_ = p.take(output).Nak()
}

func (p *pipeline) take(output *nats.Msg) jetstream.Msg {
	p.lock.Lock()
	defer p.lock.Unlock()
	input := p.waiting[output]
	delete(p.waiting, output)
	return input
}

func acknowledge(input jetstream.Msg) {
	if err := input.Ack(); err != nil {
		log.Print(err)
	}
}
