package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// opening is how many streams open at the same time.
const opening = 64

// held are the streams of one process of clients.
type held struct {
	address, kind, token string
	opened, failed       atomic.Int64
	messages             atomic.Int64
}

// streamsClients holds streams open as its standard input says: "opened" opens all, "messages" counts for a period; each is
// answered by one line with the number, and of streams that failed or ended.
func streamsClients(args []string) error {
	if len(args) != 5 {
		return fmt.Errorf("%d arguments: want ADDRESS KIND COUNT TOKEN PERIOD", len(args))
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	every, err := time.ParseDuration(args[4])
	if err != nil {
		return err
	}
	h := &held{address: args[0], kind: args[1], token: args[3]}
	questions := bufio.NewScanner(os.Stdin)
	for questions.Scan() {
		number := int64(0)
		switch questions.Text() {
		case "opened":
			h.openAll(n)
			number = h.opened.Load()
		case "messages":
			before := h.messages.Load()
			time.Sleep(every)
			number = h.messages.Load() - before
		}
		if _, err := fmt.Fprintln(os.Stdout, questions.Text(), number, "failed", h.failed.Load()); err != nil {
			return err
		}
	}
	return questions.Err()
}

func (h *held) openAll(n int) {
	var open sync.WaitGroup
	turns := make(chan struct{}, opening)
	for range n {
		turns <- struct{}{}
		open.Go(func() {
			defer func() { <-turns }()
			if err := h.open(); err != nil {
				if h.failed.Add(1) == 1 {
					_, _ = fmt.Fprintln(os.Stderr, err)
				}
				return
			}
			h.opened.Add(1)
		})
	}
	open.Wait()
}

// open opens one stream, reads its first message and leaves the rest to a goroutine.
func (h *held) open() error {
	conn, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), "tcp", h.address)
	if err != nil {
		return err
	}
	upgrade, message := "Accept: text/event-stream\r\n", comment
	if h.kind == "websocket" {
		upgrade, message = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", frame
	}
	if _, err := fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n%s\r\n", h.kind, h.token, upgrade); err != nil {
		return errors.Join(err, conn.Close())
	}
	buffer := make([]byte, 1024)
	var head strings.Builder
	for !strings.Contains(head.String(), message) {
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		n, err := conn.Read(buffer)
		head.Write(buffer[:n])
		if err != nil {
			return errors.Join(fmt.Errorf("%s stream: %q: %w", h.kind, head.String(), err), conn.Close())
		}
	}
	if status := head.String(); !strings.HasPrefix(status, "HTTP/1.1 200 ") && !strings.HasPrefix(status, "HTTP/1.1 101 ") {
		return errors.Join(fmt.Errorf("%s stream: %q", h.kind, status), conn.Close())
	}
	_ = conn.SetReadDeadline(time.Time{})
	go h.read(conn, buffer[:64])
	return nil
}

// read counts messages; they are far apart, so that each read returns one.
func (h *held) read(conn net.Conn, buffer []byte) {
	for {
		if _, err := conn.Read(buffer); err != nil {
			h.failed.Add(1)
			if !errors.Is(err, io.EOF) {
				_, _ = fmt.Fprintln(os.Stderr, err)
			}
			return
		}
		h.messages.Add(1)
	}
}
