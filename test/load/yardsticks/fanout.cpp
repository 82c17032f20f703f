// SPDX-License-Identifier: Apache-2.0
// fanout: single-threaded epoll load client. Holds N subscriber connections + 1 controller connection.
// A round: controller publishes one 512-byte message to a topic; every subscriber answers with a 512-byte
// message to one reply queue; the controller waits for all N distinct replies.
// Protocols: stomp (ActiveMQ, RabbitMQ, the embedded broker), nats, mqtt (3.1.1, QoS 0), raw (length-prefixed, for perfect.cpp).
// g++ -O2 -std=c++17 -o fanout fanout.cpp
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <unistd.h>
#include <fcntl.h>
#include <errno.h>
#include <time.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include <algorithm>
using std::string; using std::vector;
enum Proto { STOMP, NATS, RAW, MQTT };
static Proto proto = STOMP; static int port = 61613, N = 100, R = 5, W = 10, P = 512, brokerPid = 0, window = 64; static double tmo = 60;
static string login = "mcollective", pass = "secret", vhost = "mcollective", topic = "/topic/mcollective.bench", rq = "/queue/mcollective.reply.bench", label = "x";
static bool subsOnly = false, receipts = true; static string extraSub;
struct Conn { int fd = -1, id = 0, st = 0; bool ctl = false, wantw = false; string in, out; size_t oo = 0; };
static vector<Conn> cs; static int ep; static int nready = 0, ninflight = 0, nextc = 0;
static unsigned curRound = 0; static int gotReq = 0, gotRep = 0, dupes = 0, stale = 0; static vector<unsigned> seen; static double tFan = 0, tDone = 0, t0 = 0; static vector<double> repT;
static string replyHead, reqHead;
static double now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double selfcpu() { rusage u; getrusage(RUSAGE_SELF, &u); return u.ru_utime.tv_sec + u.ru_utime.tv_usec * 1e-6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec * 1e-6; }
static double bcpu() { if (!brokerPid) return 0; char p[64], b[1024]; snprintf(p, 64, "/proc/%d/stat", brokerPid); FILE* f = fopen(p, "r"); if (!f) return 0; size_t n = fread(b, 1, 1023, f); b[n] = 0; fclose(f);
  char* s = strrchr(b, ')'); unsigned long u, k; sscanf(s + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &u, &k); return (u + k) / 100.0; }
static long brss(const char* key = "VmRSS:") { if (!brokerPid) return 0; char p[64], l[256]; snprintf(p, 64, "/proc/%d/status", brokerPid); FILE* f = fopen(p, "r"); if (!f) return 0; long v = 0; while (fgets(l, 256, f)) if (!strncmp(l, key, strlen(key))) v = atol(l + strlen(key)); fclose(f); return v; }
static void mod(Conn& c, bool w) { if (c.wantw == w) return; c.wantw = w; epoll_event e{}; e.events = EPOLLIN | (w ? EPOLLOUT : 0u); e.data.u32 = c.id; epoll_ctl(ep, EPOLL_CTL_MOD, c.fd, &e); }
static void flush(Conn& c) { while (c.oo < c.out.size()) { ssize_t n = send(c.fd, c.out.data() + c.oo, c.out.size() - c.oo, MSG_NOSIGNAL); if (n < 0) { if (errno == EAGAIN) { mod(c, true); return; } perror("send"); exit(2); } c.oo += n; } c.out.clear(); c.oo = 0; mod(c, false); }
static void put(Conn& c, const string& s) { c.out += s; if (!c.wantw) flush(c); }
static string payload(unsigned round, int who) { char h[40]; int n = snprintf(h, 40, "%08x %08x ", round, who); string s(P, 'x'); memcpy(&s[0], h, n); return s; }
static string mqtt(unsigned char type, const string& body) { string s(1, (char)type); size_t l = body.size(); do { unsigned char d = l % 128; l /= 128; if (l) d |= 128; s.push_back((char)d); } while (l); return s + body; }
static string mstr(const string& x) { string s; s.push_back((char)(x.size() >> 8)); s.push_back((char)x.size()); return s + x; }
static string frame(const string& dest, const string& body, char rawType) {
  if (proto == STOMP) { string s = "SEND\ndestination:" + dest + "\ncontent-length:" + std::to_string(body.size()) + "\n\n" + body; s.push_back('\0'); return s; }
  if (proto == NATS) return "PUB " + dest + " " + std::to_string(body.size()) + "\r\n" + body + "\r\n";
  if (proto == MQTT) return mqtt(0x30, mstr(dest) + body);
  unsigned l = body.size(); string s; s.push_back(rawType); s.append((char*)&l, 4); return s + body; }
static void onReady(Conn& c) { if (c.st == 2) return; c.st = 2; nready++; ninflight--; }
static void onOpen(Conn& c) { // protocol handshake finished -> subscribe
  if (c.st) return; c.st = 1; string d = c.ctl ? rq : topic;
  if (proto == STOMP) { string s = "SUBSCRIBE\ndestination:" + d + "\nid:s1\nack:auto\n" + (c.ctl ? extraSub : "") + (receipts ? "receipt:r1\n" : "") + "\n"; s.push_back('\0'); put(c, s); if (!receipts) onReady(c); }
  else if (proto == NATS) put(c, "SUB " + d + " 1\r\nPING\r\n");
  else if (proto == MQTT) put(c, mqtt(0x82, string("\0\1", 2) + mstr(d) + string(1, '\0'))); }
static void onMsg(Conn& c, const char* b, size_t n) {
  if (n < 18) { fprintf(stderr, "short message %zu\n", n); return; }
  unsigned rd = strtoul(b, nullptr, 16), who = strtoul(b + 9, nullptr, 16);
  if (!c.ctl) { gotReq++; if (gotReq == N) tFan = now(); put(c, frame(rq, payload(rd, c.id), 'R')); return; }
  if (rd != curRound) { stale++; return; }
  if (who >= seen.size() || seen[who] == rd) { dupes++; return; }
  seen[who] = rd; gotRep++; double t = now(); repT.push_back(t); if (gotRep == N) tDone = t; }
static void parse(Conn& c) { size_t i = 0; string& b = c.in;
  for (;;) {
    if (proto == RAW) { if (b.size() - i < 5) break; unsigned l; memcpy(&l, &b[i + 1], 4); if (b.size() - i < 5 + l) break; if (b[i] == 'K') onReady(c); else onMsg(c, &b[i + 5], l); i += 5 + l; continue; }
    if (proto == MQTT) { size_t j = i + 1, l = 0, sh = 0; bool whole = false; while (j < b.size()) { unsigned char d = b[j++]; l |= size_t(d & 127) << sh; sh += 7; if (!(d & 128)) { whole = true; break; } } if (!whole || b.size() - j < l) break;
      unsigned char t = (unsigned char)b[i] >> 4; if (t == 2) onOpen(c); else if (t == 9) onReady(c); else if (t == 3) { size_t tl = (unsigned char)b[j] * 256 + (unsigned char)b[j + 1]; onMsg(c, &b[j + 2 + tl], l - 2 - tl); } i = j + l; continue; }
    if (proto == NATS) { size_t e = b.find("\r\n", i); if (e == string::npos) break;
      if (!b.compare(i, 4, "MSG ")) { size_t sp = b.rfind(' ', e); size_t l = strtoul(&b[sp + 1], nullptr, 10); if (b.size() < e + 2 + l + 2) break; onMsg(c, &b[e + 2], l); i = e + 2 + l + 2; continue; }
      if (!b.compare(i, 4, "INFO")) { if (!c.st) { put(c, "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"f\"}\r\n"); onOpen(c); } }
      else if (!b.compare(i, 4, "PONG")) onReady(c); else if (!b.compare(i, 4, "PING")) put(c, "PONG\r\n"); else if (b[i] == '-') { fprintf(stderr, "nats: %s\n", b.substr(i, e - i).c_str()); exit(2); }
      i = e + 2; continue; }
    while (i < b.size() && (b[i] == '\n' || b[i] == '\r' || b[i] == 0)) i++;
    size_t h = b.find("\n\n", i); if (h == string::npos) break; size_t body = h + 2, len, end; size_t cl = b.find("\ncontent-length:", i);
    if (cl != string::npos && cl < h) { len = strtoul(&b[cl + 16], nullptr, 10); end = body + len + 1; if (b.size() < end) break; }
    else { size_t z = b.find('\0', body); if (z == string::npos) break; len = z - body; end = z + 1; }
    if (!b.compare(i, 7, "MESSAGE")) onMsg(c, &b[body], len); else if (!b.compare(i, 9, "CONNECTED")) onOpen(c); else if (!b.compare(i, 7, "RECEIPT")) onReady(c);
    else { fprintf(stderr, "conn %d got: %s\n", c.id, b.substr(i, std::min<size_t>(end - i, 400)).c_str()); exit(2); }
    i = end; }
  if (i) b.erase(0, i); }
static void dial(Conn& c) { c.fd = socket(AF_INET, SOCK_STREAM, 0); sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(port); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(c.fd, (sockaddr*)&a, sizeof a)) { perror("connect"); exit(2); } int one = 1; setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); fcntl(c.fd, F_SETFL, O_NONBLOCK);
  epoll_event e{}; e.events = EPOLLIN; e.data.u32 = c.id; epoll_ctl(ep, EPOLL_CTL_ADD, c.fd, &e); ninflight++;
  if (proto == STOMP) { string s = "CONNECT\naccept-version:1.1,1.0\nhost:" + vhost + "\nlogin:" + login + "\npasscode:" + pass + "\n\n"; s.push_back('\0'); put(c, s); }
  else if (proto == MQTT) put(c, mqtt(0x10, mstr("MQTT") + string("\4\2\0\0", 4) + mstr("c" + std::to_string(c.id))));
  else if (proto == RAW) { unsigned l = 0; string s; s.push_back(c.ctl ? 'C' : 'S'); s.append((char*)&l, 4); put(c, s); c.st = 1; } }
static void pump(int ms) { static epoll_event ev[512]; static char buf[1 << 18]; int n = epoll_wait(ep, ev, 512, ms);
  for (int k = 0; k < n; k++) { Conn& c = cs[ev[k].data.u32]; if (ev[k].events & EPOLLOUT) flush(c);
    if (ev[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) { ssize_t r = recv(c.fd, buf, sizeof buf, 0); if (r > 0) { c.in.append(buf, r); parse(c); } else if (r == 0 || errno != EAGAIN) { if (subsOnly && r == 0) exit(0); fprintf(stderr, "conn %d closed by peer (%s) in: %s\n", c.id, r ? strerror(errno) : "eof", c.in.c_str()); exit(2); } } } }
int main(int ac, char** av) {
  for (int i = 1; i < ac; i++) { string a = av[i]; auto v = [&] { return string(av[++i]); };
    if (a == "--proto") { string p = v(); proto = p == "nats" ? NATS : p == "raw" ? RAW : p == "mqtt" ? MQTT : STOMP; if (proto == MQTT) { topic = "bench/request"; rq = "bench/reply"; } if (proto == NATS) { topic = "mcollective.bench"; rq = "mcollective.reply.bench"; } }
    else if (a == "--port") port = stoi(v()); else if (a == "-n") N = stoi(v()); else if (a == "-r") R = stoi(v()); else if (a == "-w") W = stoi(v()); else if (a == "-p") P = stoi(v()); else if (a == "--pid") brokerPid = stoi(v());
    else if (a == "--login") login = v(); else if (a == "--pass") pass = v(); else if (a == "--vhost") vhost = v(); else if (a == "--topic") topic = v(); else if (a == "--queue") rq = v(); else if (a == "--label") label = v(); else if (a == "--window") window = stoi(v());
    else if (a == "--subs-only") subsOnly = true; else if (a == "--no-receipt") receipts = false; else if (a == "--sub-header") extraSub += v() + "\n"; else if (a == "--timeout") tmo = stod(v()); }
  rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl);
  ep = epoll_create1(0); int total = subsOnly ? N : N + 1; cs.resize(total); seen.assign(N + 1, 0xffffffffu); for (int i = 0; i < total; i++) { cs[i].id = i; cs[i].ctl = i == N; }
  long rss0 = brss(); double a = now(), b0 = bcpu(); int last = -1; double lastT = now();
  while (nready < total) { while (nextc < total && ninflight < window) dial(cs[nextc++]); pump(1000); if (nready != last) { last = nready; lastT = now(); } if (now() - lastT > tmo) { fprintf(stderr, "stuck connecting at %d/%d\n", nready, total); return 3; } }
  double tc = now() - a, bc = bcpu() - b0;
  if (subsOnly) { fprintf(stderr, "%d subs ready\n", nready); for (;;) pump(1000); }
  { double e = now() + 1.0; while (now() < e) pump(50); }
  vector<double> fan, done, p50, ccpu, brc, all; int lost = 0; double cold = 0;
  for (int r = 0; r < W + R; r++) { curRound = r; gotReq = gotRep = 0; tFan = tDone = 0; repT.clear(); double c0 = selfcpu(), q0 = bcpu(); t0 = now(); put(cs[N], frame(topic, payload(r, 0), 'P'));
    while (gotRep < N && now() - t0 < tmo) pump(200);
    if (r == 0) cold = (gotRep == N ? tDone - t0 : -1) * 1e3;
    if (gotRep < N) { fprintf(stderr, "round %d: requests %d replies %d of %d after %.0fs\n", r, gotReq, gotRep, N, tmo); lost++; if (lost > 2) break; continue; }
    if (r >= W) { fan.push_back((tFan - t0) * 1e3); done.push_back((tDone - t0) * 1e3); p50.push_back((repT[N / 2] - t0) * 1e3); }
    { double e = now() + 0.1; while (now() < e) pump(20); } // let the broker finish trailing work so its cpu is charged to the round
    if (r >= W) { ccpu.push_back((selfcpu() - c0) * 1e3); brc.push_back((bcpu() - q0) * 1e3); } }
  auto med = [](vector<double> v) { if (v.empty()) return -1.0; std::sort(v.begin(), v.end()); return v[v.size() / 2]; }; auto mn = [](vector<double>& v) { return v.empty() ? -1 : *std::min_element(v.begin(), v.end()); }; auto mx = [](vector<double>& v) { return v.empty() ? -1 : *std::max_element(v.begin(), v.end()); };
  printf("%-22s N=%-5d connect+sub %.2fs (broker cpu %.2fs) | cold %.1f ms | fan-out med %.2f [%.2f..%.2f] | all replies med %.2f [%.2f..%.2f] ms, half at %.2f | client cpu/round %.1f ms, broker cpu/round %.0f ms | rate %.0f replies/s | broker RSS %ld -> %ld kB peak %ld | dup %d stale %d lostrounds %d\n",
    label.c_str(), N, tc, bc, cold, med(fan), mn(fan), mx(fan), med(done), mn(done), mx(done), med(p50), med(ccpu), med(brc), N / (med(done) / 1e3), rss0, brss(), brss("VmHWM:"), dupes, stale, lost);
  return 0; }
