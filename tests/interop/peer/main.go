// A peer of the original mesh library, for interoperability tests: it forms a mesh over TCP, with an overlay that
// is established at once, and a gossip channel "interop" of its own. Commands come as lines on standard input
// (`unicast NAME TEXT`, `broadcast TEXT`, `status`), events leave as JSON lines on standard output.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/weaveworks/mesh"
)

var stdout sync.Mutex

func report(event map[string]interface{}) {
	stdout.Lock()
	defer stdout.Unlock()
	line, _ := json.Marshal(event)
	fmt.Println(string(line))
}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// instantOverlay offers "fastdp" and "sleeve", carries nothing and works from the moment it is confirmed.
type instantOverlay struct{}

func (instantOverlay) AddFeaturesTo(features map[string]string) {
	features["Overlays"] = "fastdp sleeve"
}

func (instantOverlay) PrepareConnection(p mesh.OverlayConnectionParams) (mesh.OverlayConnection, error) {
	c := &instantConnection{params: p, established: make(chan struct{}), failed: make(chan error, 1)}
	return c, nil
}

func (instantOverlay) Diagnostics() interface{} { return nil }
func (instantOverlay) Stop()                    {}

type instantConnection struct {
	params      mesh.OverlayConnectionParams
	once        sync.Once
	established chan struct{}
	failed      chan error
}

// Confirm sends an acknowledgement of the first overlay, which is what a working one would send sooner or later.
func (c *instantConnection) Confirm() {
	c.once.Do(func() {
		close(c.established)
		_ = c.params.SendControlMessage(7, []byte{0, 0})
	})
}
func (c *instantConnection) EstablishedChannel() <-chan struct{} { return c.established }
func (c *instantConnection) ErrorChannel() <-chan error          { return c.failed }
func (c *instantConnection) Stop()                               {}
func (c *instantConnection) ControlMessage(tag byte, msg []byte) {
	report(map[string]interface{}{"event": "control", "tag": tag, "message": fmt.Sprintf("%x", msg)})
}
func (c *instantConnection) Attrs() map[string]interface{} {
	return map[string]interface{}{"name": "fastdp"}
}

// words is gossip: a set of lines.
type words struct {
	sync.Mutex
	set map[string]bool
}

func (w *words) Encode() [][]byte {
	w.Lock()
	defer w.Unlock()
	lines := []string{}
	for line := range w.set {
		lines = append(lines, line)
	}
	return [][]byte{[]byte(strings.Join(lines, "\n"))}
}

func (w *words) Merge(other mesh.GossipData) mesh.GossipData {
	merged := &words{set: map[string]bool{}}
	for _, from := range []*words{w, other.(*words)} {
		from.Lock()
		for line := range from.set {
			merged.set[line] = true
		}
		from.Unlock()
	}
	return merged
}

func (w *words) learn(payload []byte) *words {
	w.Lock()
	defer w.Unlock()
	news := &words{set: map[string]bool{}}
	for _, line := range strings.Split(string(payload), "\n") {
		if line != "" && !w.set[line] {
			w.set[line] = true
			news.set[line] = true
		}
	}
	if len(news.set) == 0 {
		return nil
	}
	return news
}

// channel remembers every line it ever heard and reports what comes in.
type channel struct{ known *words }

func (c channel) OnGossipUnicast(source mesh.PeerName, payload []byte) error {
	report(map[string]interface{}{"event": "unicast", "source": source.String(), "text": string(payload)})
	return nil
}

func (c channel) OnGossipBroadcast(source mesh.PeerName, payload []byte) (mesh.GossipData, error) {
	report(map[string]interface{}{"event": "broadcast", "source": source.String(), "text": string(payload)})
	one := &words{set: map[string]bool{string(payload): true}}
	c.known.learn(payload)
	return one, nil
}

func (c channel) Gossip() mesh.GossipData { return c.known }

func (c channel) OnGossip(payload []byte) (mesh.GossipData, error) {
	news := c.known.learn(payload)
	if news == nil {
		return nil, nil
	}
	report(map[string]interface{}{"event": "gossip", "text": string(news.Encode()[0])})
	return news, nil
}

type stderrLogger struct{}

func (stderrLogger) Printf(format string, args ...interface{}) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

func main() {
	name := flag.String("name", "", "peer name")
	nick := flag.String("nickname", "go", "nickname")
	host := flag.String("host", "127.0.0.1", "address to listen on")
	port := flag.Int("port", 6783, "port to listen on")
	password := flag.String("password", "", "password")
	peers := flag.String("peers", "", "addresses to dial, comma-separated")
	discovery := flag.Bool("discovery", false, "dial discovered addresses")
	minVersion := flag.Int("min-version", 1, "lowest protocol version")
	say := flag.String("say", "", "a line in the channel's state from the start")
	flag.Parse()

	self, err := mesh.PeerNameFromUserInput(*name)
	fatal(err)
	var secret []byte // must be nil for a mesh without a password: an empty one counts
	if *password != "" {
		secret = []byte(*password)
	}
	router, err := mesh.NewRouter(mesh.Config{
		Host: *host, Port: *port, Password: secret, ConnLimit: 64,
		ProtocolMinVersion: byte(*minVersion), PeerDiscovery: *discovery,
	}, self, *nick, instantOverlay{}, stderrLogger{})
	fatal(err)
	known := &words{set: map[string]bool{}}
	if *say != "" {
		known.set[*say] = true
	}
	gossip, err := router.NewGossip("interop", channel{known})
	fatal(err)
	router.Start()
	if *peers != "" {
		for _, err := range router.ConnectionMaker.InitiateConnections(strings.Split(*peers, ","), false) {
			fatal(err)
		}
	}
	report(map[string]interface{}{"event": "ready"})

	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		verb, rest, _ := strings.Cut(lines.Text(), " ")
		switch verb {
		case "unicast":
			to, text, _ := strings.Cut(rest, " ")
			destination, err := mesh.PeerNameFromString(to)
			fatal(err)
			if err := gossip.GossipUnicast(destination, []byte(text)); err != nil {
				report(map[string]interface{}{"event": "error", "text": err.Error()})
			}
		case "broadcast":
			gossip.GossipBroadcast(&words{set: map[string]bool{rest: true}})
		case "status":
			report(map[string]interface{}{"event": "status", "status": mesh.NewStatus(router)})
		}
	}
	_ = router.Stop()
}
