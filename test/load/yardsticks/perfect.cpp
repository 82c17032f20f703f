// SPDX-License-Identifier: Apache-2.0
// perfect: the practical limit. A single-threaded epoll fan-out broker with a 5-byte length-prefixed protocol.
// usage: perfect PORT            -> broker process (controller -> broker -> N subs -> broker -> controller)
//        perfect PORT direct N R W  -> controller holds the N node connections itself (no broker hop); times R rounds
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/resource.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include <errno.h>
#include <time.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>
#include <algorithm>
using std::string; using std::vector;
struct C { int fd; string in, out; bool sub = false, dirty = false, ww = false; };
static vector<C*> byfd(1 << 16), subs, dirty; static C* ctl = nullptr; static int ep; static long reps = 0; static bool direct = false;
static double now() { timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static double cpu() { rusage u; getrusage(RUSAGE_SELF, &u); return u.ru_utime.tv_sec + u.ru_utime.tv_usec * 1e-6 + u.ru_stime.tv_sec + u.ru_stime.tv_usec * 1e-6; }
static void flush(C* c) { size_t o = 0; while (o < c->out.size()) { ssize_t n = send(c->fd, c->out.data() + o, c->out.size() - o, MSG_NOSIGNAL | MSG_DONTWAIT); if (n < 0) break; o += n; } c->out.erase(0, o);
  bool w = !c->out.empty(); if (w != c->ww) { c->ww = w; epoll_event e{}; e.events = EPOLLIN | (w ? EPOLLOUT : 0u); e.data.fd = c->fd; epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e); } }
static void queue(C* c, const char* p, size_t n) { c->out.append(p, n); if (!c->dirty) { c->dirty = true; dirty.push_back(c); } }
static void onframe(C* c, const char* p, size_t n) { // p includes the 5 byte header
  static const char ok[5] = {'K', 0, 0, 0, 0};
  switch (p[0]) {
    case 'S': c->sub = true; subs.push_back(c); queue(c, ok, 5); break;
    case 'C': ctl = c; queue(c, ok, 5); break;
    case 'P': for (C* s : subs) { if (s->out.empty()) { ssize_t k = send(s->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT); if (k == (ssize_t)n) continue; if (k < 0) k = 0; s->out.append(p + k, n - k); flush(s); } else queue(s, p, n); } break;
    case 'R': reps++; if (ctl && !direct) queue(ctl, p, n); break; } }
static void pump(int lfd, int ms) { static epoll_event ev[256]; static char buf[1 << 16]; int n = epoll_wait(ep, ev, 256, ms);
  for (int i = 0; i < n; i++) { int fd = ev[i].data.fd;
    if (fd == lfd) { int c; while ((c = accept4(lfd, nullptr, nullptr, SOCK_NONBLOCK)) >= 0) { int one = 1; setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one); C* x = byfd[c] = new C; x->fd = c; epoll_event e{}; e.events = EPOLLIN; e.data.fd = c; epoll_ctl(ep, EPOLL_CTL_ADD, c, &e); } continue; }
    C* c = byfd[fd]; if (ev[i].events & EPOLLOUT) flush(c); if (!(ev[i].events & ~EPOLLOUT)) continue;
    ssize_t r = recv(fd, buf, sizeof buf, 0);
    if (r <= 0) { if (r < 0 && errno == EAGAIN) continue; close(fd); if (c == ctl) ctl = nullptr; subs.erase(std::remove(subs.begin(), subs.end(), c), subs.end()); dirty.erase(std::remove(dirty.begin(), dirty.end(), c), dirty.end()); delete c; continue; }
    const char* p = buf; size_t len = r; if (!c->in.empty()) { c->in.append(buf, r); p = c->in.data(); len = c->in.size(); }
    size_t o = 0; while (len - o >= 5) { unsigned l; memcpy(&l, p + o + 1, 4); if (len - o < 5 + l) break; onframe(c, p + o, 5 + l); o += 5 + l; }
    if (c->in.empty()) c->in.assign(p + o, len - o); else c->in.erase(0, o); }
  for (size_t i = 0; i < dirty.size(); i++) { dirty[i]->dirty = false; flush(dirty[i]); } dirty.clear(); }
int main(int ac, char** av) { rlimit rl; getrlimit(RLIMIT_NOFILE, &rl); rl.rlim_cur = rl.rlim_max; setrlimit(RLIMIT_NOFILE, &rl);
  int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1; setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); sockaddr_in a{}; a.sin_family = AF_INET; a.sin_port = htons(atoi(av[1])); a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(l, (sockaddr*)&a, sizeof a) || listen(l, 4096)) { perror("bind"); return 1; } ep = epoll_create1(0); epoll_event e{}; e.events = EPOLLIN; e.data.fd = l; epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
  if (ac < 3) for (;;) pump(l, -1);
  direct = true; size_t N = atoi(av[3]); int R = atoi(av[4]), W = atoi(av[5]); while (subs.size() < N) pump(l, 100);
  vector<double> f, d, c; double ti = now() + 0.5; while (now() < ti) pump(l, 50);
  for (int r = 0; r < W + R; r++) { string m(5 + 512, 'x'); unsigned len = 512; m[0] = 'P'; memcpy(&m[1], &len, 4); char h[40]; int k = snprintf(h, 40, "%08x %08x ", r, 0); memcpy(&m[5], h, k); reps = 0; double c0 = cpu(), t0 = now(); onframe(nullptr, m.data(), m.size()); double t1 = now(); while (reps < (long)N) pump(l, 100); double t2 = now(); if (r >= W) { f.push_back((t1 - t0) * 1e3); d.push_back((t2 - t0) * 1e3); c.push_back((cpu() - c0) * 1e3); } ti = now() + 0.05; while (now() < ti) pump(l, 10); }
  auto S = [](vector<double>& v) { std::sort(v.begin(), v.end()); }; S(f); S(d); S(c); printf("direct (no broker hop)  N=%-5zu sends queued med %.2f ms | all replies med %.2f [%.2f..%.2f] ms | controller cpu/round %.1f ms | rate %.0f replies/s\n", N, f[f.size() / 2], d[d.size() / 2], d.front(), d.back(), c[c.size() / 2], N / (d[d.size() / 2] / 1e3)); }
