package proxy

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"envgate/authz"
)

// Exposure returns the warning upstream_exposed as a list of one, or nothing.
func Exposure(c *authz.Config) []authz.Warning {
	if at := exposedOn(c); at != "" {
		return []authz.Warning{authz.RuntimeWarning(authz.UpstreamExposed, at)}
	}
	return nil
}

// exposedOn returns the address other than loopback on which a loopback upstream's port listens, or "". It reads the
// kernel's socket tables, which all containers of a pod share; where there are none, nothing can be said.
func exposedOn(c *authz.Config) string {
	if !c.LoopbackUpstream() {
		return ""
	}
	for _, l := range listenersOf(c) {
		if !l.at.Addr().Unmap().IsLoopback() {
			return l.at.String()
		}
	}
	return ""
}

// listenersOf finds the sockets that listen on the port of a loopback upstream.
func listenersOf(c *authz.Config) (found []listener) {
	port := c.Upstream.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[c.Upstream.Scheme]
	}
	number, _ := strconv.ParseUint(port, 10, 16)
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		for l := range listeners(f) {
			if l.at.Port() == uint16(number) {
				found = append(found, l)
			}
		}
		_ = f.Close()
	}
	return found
}

// listener is a listening socket: its address, and the kernel's number for it.
type listener struct {
	at    netip.AddrPort
	inode string
}

// listeners yields the sockets in state LISTEN of a socket table, as proc(5) describes /proc/net/tcp: the second field is
// the local address, 32-bit words in host order, and the port; the fourth is the state, the tenth the inode. A busy pod has tens of
// thousands of closed connections in there, so lines in other states cost nothing.
func listeners(table io.Reader) func(yield func(listener) bool) {
	const listen = "0A" // TCP_LISTEN, include/net/tcp_states.h
	return func(yield func(listener) bool) {
		for lines := bufio.NewScanner(table); lines.Scan(); {
			if !bytes.Contains(lines.Bytes(), []byte(" "+listen+" ")) {
				continue
			}
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 || fields[3] != listen {
				continue
			}
			address, port, _ := strings.Cut(fields[1], ":")
			raw, err := hex.DecodeString(address)
			number, perr := strconv.ParseUint(port, 16, 16)
			if err != nil || perr != nil || len(raw)%4 != 0 {
				continue
			}
			for word := range slices.Chunk(raw, 4) {
				binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
			}
			if ip, ok := netip.AddrFromSlice(raw); ok && !yield(listener{netip.AddrPortFrom(ip, uint16(number)), fields[9]}) {
				return
			}
		}
	}
}
