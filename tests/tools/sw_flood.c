/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * sw-flood: a bounded flood of forged SYNs at an exact rate, from a raw socket (so the kernel finds the way and the
 * neighbour). Never without a bound, and never towards an address outside a private or documentation network.
 */
#include "flood_packet.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static const char usage[] =
	"Usage: sw-flood --target ADDRESS:PORT --rate N (--count N | --seconds S) [OPTION...]\n"
	"Forged SYNs at a steady rate; the result as JSON on stdout. For test networks: the target must be private.\n\n"
	"  --target A:P     IPv6 in brackets; several times: in turn\n"
	"  --sources A[+N]  forge these (per packet one is drawn); default: any address a stranger could have\n"
	"  --rate N         packets a second\n"
	"  --count N        stop after N packets\n"
	"  --seconds S      stop after S seconds\n"
	"  --seed N         the same seed gives the same packets (default: from the clock)\n"
	"  --progress S     a line of JSON on stderr every S seconds\n";

enum { TARGETS_MAX = 16, BURST = 64, NAP_NS = 250000 };

struct flood {
	union sw_endpoint targets[TARGETS_MAX];
	unsigned int target_count;
	struct sw_source_range sources;
	double rate_per_s;
	uint64_t count, duration_ns, progress_ns;
	struct sw_random random;
	int sockets[2]; /* IPv4, IPv6 */
	uint64_t sent, failed;
};

static volatile int stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void fail(const char *what, const char *value)
{
	fprintf(stderr, "sw-flood: %s: %s (sw-flood --help)\n", what, value);
	exit(2);
}

/* RFC 1918, RFC 4193, documentation and loopback: nothing that leaves a laboratory. */
static bool target_is_private(const union sw_endpoint *t)
{
	if (t->any.sa_family == AF_INET6) {
		const uint8_t *a = t->v6.sin6_addr.s6_addr;
		return (a[0] & 0xfe) == 0xfc || (a[0] == 0x20 && a[1] == 1 && a[2] == 0x0d && a[3] == 0xb8) ||
			IN6_IS_ADDR_LOOPBACK(&t->v6.sin6_addr);
	}
	const uint32_t a = ntohl(t->v4.sin_addr.s_addr);
	return a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 8 == 0xc00002 ||
		a >> 17 == 0x6309;
}

static void add_target(struct flood *f, const char *text)
{
	union sw_endpoint *t = &f->targets[f->target_count];
	if (f->target_count == TARGETS_MAX || !sw_endpoint_parse(text, t))
		fail("--target", text);
	if (!target_is_private(t))
		fail("--target is no private address, and this tool is for test networks alone", text);
	f->target_count++;
}

static double number(const char *option, const char *text)
{
	char *end;
	const double value = strtod(text, &end);
	if (*end != 0 || end == text || !(value > 0 && value <= 1e12))
		fail(option, text);
	return value;
}

static void take_options(struct flood *f, int argc, char **argv)
{
	static const struct option options[] = {
		{"target", required_argument, NULL, 't'},   {"sources", required_argument, NULL, 's'},
		{"rate", required_argument, NULL, 'r'},     {"count", required_argument, NULL, 'c'},
		{"seconds", required_argument, NULL, 'd'},  {"seed", required_argument, NULL, 'e'},
		{"progress", required_argument, NULL, 'p'}, {"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int option;
	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (option == 't')
			add_target(f, optarg);
		else if (option == 's' && !sw_source_range_parse(optarg, &f->sources))
			fail("--sources", optarg);
		else if (option == 'r')
			f->rate_per_s = number("--rate", optarg);
		else if (option == 'c')
			f->count = (uint64_t)number("--count", optarg);
		else if (option == 'd')
			f->duration_ns = (uint64_t)(number("--seconds", optarg) * 1e9);
		else if (option == 'e')
			sw_random_seed(&f->random, strtoull(optarg, NULL, 0));
		else if (option == 'p')
			f->progress_ns = (uint64_t)(number("--progress", optarg) * 1e9);
		else if (option == 'h') {
			fputs(usage, stdout);
			exit(0);
		} else if (option == '?')
			exit(2);
	}
	if (optind != argc || f->target_count == 0 || f->rate_per_s <= 0 || (f->count == 0 && f->duration_ns == 0))
		fail("needed", "--target, --rate and one of --count and --seconds");
}

static int open_sockets(struct flood *f)
{
	const int on = 1, buffer = 1 << 20;
	f->sockets[0] = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	f->sockets[1] = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (f->sockets[0] < 0 || f->sockets[1] < 0)
		return -errno;
	setsockopt(f->sockets[1], IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on));
	for (int i = 0; i < 2; i++)
		setsockopt(f->sockets[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	return 0;
}

/* Up to `wanted` packets to one target. A full queue loses them, as a wire would: they are counted and not repeated. */
static void send_burst(struct flood *f, const union sw_endpoint *target, unsigned int wanted)
{
	static uint8_t packets[BURST][SW_FLOOD_PACKET_BYTES];
	union sw_endpoint to = *target;
	struct iovec pieces[BURST];
	struct mmsghdr messages[BURST];
	if (to.any.sa_family == AF_INET6)
		to.v6.sin6_port = 0; /* a raw IPv6 socket takes a port for a protocol number */
	memset(messages, 0, sizeof(messages));
	for (unsigned int i = 0; i < wanted; i++) {
		pieces[i].iov_base = packets[i];
		pieces[i].iov_len = sw_flood_packet(packets[i], target, &f->sources, &f->random);
		messages[i].msg_hdr.msg_name = &to;
		messages[i].msg_hdr.msg_namelen = sw_endpoint_bytes(&to);
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	const int n = sendmmsg(f->sockets[target->any.sa_family == AF_INET6], messages, wanted, 0);
	f->sent += n > 0 ? (unsigned int)n : 0;
	f->failed += wanted - (n > 0 ? (unsigned int)n : 0);
}

static uint64_t due_at(const struct flood *f, uint64_t elapsed_ns)
{
	const uint64_t due = (uint64_t)((double)elapsed_ns * f->rate_per_s / 1e9) + 1;
	return f->count != 0 && due > f->count ? f->count : due;
}

static uint64_t run(struct flood *f)
{
	const uint64_t began_ns = sw_now_ns();
	uint64_t next_progress = f->progress_ns, elapsed_ns = 0;
	unsigned int turn = 0;
	while (!stop) {
		elapsed_ns = sw_now_ns() - began_ns;
		if ((f->duration_ns != 0 && elapsed_ns >= f->duration_ns) || (f->count != 0 && f->sent + f->failed >= f->count))
			break;
		const uint64_t done = f->sent + f->failed, due = due_at(f, elapsed_ns);
		if (due > done) {
			const unsigned int burst = due - done < BURST ? (unsigned int)(due - done) : BURST;
			send_burst(f, &f->targets[turn++ % f->target_count], burst);
			continue;
		}
		if (f->progress_ns != 0 && elapsed_ns >= next_progress) {
			fprintf(stderr, "{\"t\":%.1f,\"sent\":%lu,\"failed\":%lu}\n", (double)elapsed_ns / 1e9, f->sent, f->failed);
			next_progress += f->progress_ns;
		}
		uint64_t next_ns = began_ns + (uint64_t)((double)done * 1e9 / f->rate_per_s) + 1;
		if (next_ns < began_ns + elapsed_ns + NAP_NS) /* fewer wake-ups: the generator shares the machine */
			next_ns = began_ns + elapsed_ns + NAP_NS;
		const struct timespec until = sw_timespec(next_ns);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return elapsed_ns;
}

int main(int argc, char **argv)
{
	static struct flood flood;
	sw_random_seed(&flood.random, sw_now_ns());
	take_options(&flood, argc, argv);
	const int error = open_sockets(&flood);
	if (error != 0) {
		fprintf(stderr, "sw-flood: raw sockets: %s\n", strerror(-error));
		return 1;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	prctl(PR_SET_TIMERSLACK, 1000ul);
	const uint64_t elapsed_ns = run(&flood);
	printf("{\"sent\":%lu,\"failed\":%lu,\"seconds\":%.3f,\"per_s\":%.1f}\n", flood.sent, flood.failed,
		(double)elapsed_ns / 1e9, elapsed_ns ? (double)flood.sent * 1e9 / (double)elapsed_ns : 0.0);
	return 0;
}
