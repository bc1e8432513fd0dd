package proxy

// headOnly are the names that frame a message, route it, or hold for one connection: behind the body they are faulty (RFC
// 9110, section 6.5.1), and a server that merges trailers into headers would believe them. net/http refuses some of them
// where a client declares them, and none where it doesn't.
var headOnly = map[string]bool{
	"Content-Length": true, "Transfer-Encoding": true, "Trailer": true, "Host": true, "Expect": true,
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Te": true, "Upgrade": true,
	"Proxy-Authenticate": true, "Proxy-Authorization": true, "Content-Encoding": true, "Content-Type": true, "Content-Range": true,
}
