// Peer: Go with nats.go, as somebody who knows both would write it by hand.
//
// It binds to the durable that NATS_DURABLE names and works until it gets SIGTERM. WORKLOAD=process
// publishes an outcome for each purchase, guarded, many in flight, and acks once it is stored;
// WORKLOAD=consume decodes and acks.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const maxInFlight = 16384 // above the durable's max_ack_pending, so that publishing never stalls

func main() {
	options := []nats.Option{nats.Name("bench-go")}
	if authority := os.Getenv("JETMESH__NATS__TLS_CA_FILE"); authority != "" {
		options = append(options, nats.RootCAs(authority))
	}
	connection, err := nats.Connect(os.Getenv("NATS_URL"), options...)
	if err != nil {
		log.Fatal(err)
	}
	defer connection.Close()

	worker := newPipeline()
	js, err := jetstream.New(connection,
		jetstream.WithPublishAsyncMaxPending(maxInFlight),
		jetstream.WithPublishAsyncAckHandler(worker.stored),
		jetstream.WithPublishAsyncErrHandler(worker.refused),
	)
	if err != nil {
		log.Fatal(err)
	}
	worker.js = js

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	durable, err := js.Consumer(ctx, "PURCHASES", os.Getenv("NATS_DURABLE"))
	if err != nil {
		log.Fatal(err)
	}
	handle := worker.consume
	if os.Getenv("WORKLOAD") == "process" {
		handle = worker.process
	}
	consuming, err := durable.Consume(handle,
		jetstream.PullMaxMessages(4096),
		jetstream.PullExpiry(30*time.Second),
		jetstream.PullHeartbeat(5*time.Second),
	)
	if err != nil {
		log.Fatal(err)
	}
	<-ctx.Done()
	consuming.Stop()
}
