/* SPDX-License-Identifier: BSD-3-Clause */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static const char usage[] =
	"Usage: sw-load MODE --target ADDRESS:PORT --rate N (--count N | --seconds S) [OPTION...]\n"
	"Requests at a steady rate, each from the next source and with a deadline; the result as JSON on stdout.\n\n"
	"  MODE                 announce (BitTorrent over HTTP), http, smtp (greeting, EHLO, QUIT), connect (handshake)\n"
	"  --target A:P         IPv6 in brackets\n"
	"  --sources A[+N]      bind to A, A+1, ... in turn\n"
	"  --rate N             requests a second, all sources together; may be a fraction\n"
	"  --count N            stop after N requests\n"
	"  --seconds S          stop starting requests after S seconds\n"
	"  --timeout-ms N       deadline of each (1000)\n"
	"  --info-hash HEX      announce: the torrent\n"
	"  --path PATH          http: what to ask for (/)\n"
	"  --hold-ms N          connect: stay connected for so long (0)\n"
	"  --close fin|rst      how a connection that succeeded is left (fin; one that failed always gets a RST)\n"
	"  --max-open N         connections at a time (4096; fewer when the descriptor limit is lower)\n"
	"  --progress S         a line of JSON on stderr every S seconds\n";

static volatile int stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static void fail(const char *what, const char *value)
{
	fprintf(stderr, "sw-load: %s: %s (sw-load --help)\n", what, value);
	exit(2);
}

static double number(const char *option, const char *text, double least)
{
	char *end;
	const double value = strtod(text, &end);
	if (*end != 0 || end == text || !(value >= least && value <= 1e12))
		fail(option, text);
	return value;
}

/* BEP 3: the 20 bytes of the hash as they are, percent-encoded. */
static void announce_request(struct sw_load_options *o, const char *hex)
{
	char encoded[3 * 20 + 1];
	if (strlen(hex) != 40 || strspn(hex, "0123456789abcdefABCDEF") != 40)
		fail("--info-hash wants 40 hex digits", hex);
	for (int i = 0; i < 20; i++)
		snprintf(encoded + i * 3, 4, "%%%.2s", hex + i * 2);
	snprintf(o->request, sizeof(o->request),
		"GET /announce?info_hash=%s&peer_id=-SW0100-load00000000&port=6881&uploaded=0&downloaded=0&left=0&compact=1"
		" HTTP/1.1\r\nHost: tracker\r\nUser-Agent: sw-load\r\nConnection: close\r\n\r\n",
		encoded);
}

static void http_request(struct sw_load_options *o, const char *path)
{
	const int bytes = snprintf(o->request, sizeof(o->request),
		"GET %s HTTP/1.1\r\nHost: web\r\nUser-Agent: sw-load\r\nConnection: close\r\n\r\n", path);
	if ((size_t)bytes >= sizeof(o->request))
		fail("--path is too long", path);
}

enum {
	OPT_TARGET = 256, OPT_SOURCES, OPT_RATE, OPT_COUNT, OPT_SECONDS, OPT_TIMEOUT, OPT_HASH, OPT_PATH, OPT_HOLD,
	OPT_CLOSE, OPT_MAX_OPEN, OPT_PROGRESS,
};

static const struct option long_options[] = {
	{"target", required_argument, NULL, OPT_TARGET},     {"sources", required_argument, NULL, OPT_SOURCES},
	{"rate", required_argument, NULL, OPT_RATE},         {"count", required_argument, NULL, OPT_COUNT},
	{"seconds", required_argument, NULL, OPT_SECONDS},   {"timeout-ms", required_argument, NULL, OPT_TIMEOUT},
	{"info-hash", required_argument, NULL, OPT_HASH},    {"path", required_argument, NULL, OPT_PATH},
	{"hold-ms", required_argument, NULL, OPT_HOLD},      {"close", required_argument, NULL, OPT_CLOSE},
	{"max-open", required_argument, NULL, OPT_MAX_OPEN}, {"progress", required_argument, NULL, OPT_PROGRESS},
	{"help", no_argument, NULL, 'h'},                    {NULL, 0, NULL, 0},
};

static void take_option(struct sw_load_options *o, int option, const char **hash, const char **path)
{
	switch (option) {
	case OPT_TARGET:
		if (!sw_endpoint_parse(optarg, &o->target))
			fail("--target", optarg);
		break;
	case OPT_SOURCES:
		if (!sw_source_range_parse(optarg, &o->sources))
			fail("--sources", optarg);
		break;
	case OPT_RATE:
		o->rate_per_s = number("--rate", optarg, 0.001);
		break;
	case OPT_COUNT:
		o->count = (uint64_t)number("--count", optarg, 1);
		break;
	case OPT_SECONDS:
		o->duration_ns = (uint64_t)(number("--seconds", optarg, 0.001) * 1e9);
		break;
	case OPT_TIMEOUT:
		o->timeout_ns = (uint64_t)(number("--timeout-ms", optarg, 1) * 1e6);
		break;
	case OPT_HASH:
		*hash = optarg;
		break;
	case OPT_PATH:
		*path = optarg;
		break;
	case OPT_HOLD:
		o->hold_ns = (uint64_t)(number("--hold-ms", optarg, 0) * 1e6);
		break;
	case OPT_CLOSE:
		if (strcmp(optarg, "fin") != 0 && strcmp(optarg, "rst") != 0)
			fail("--close", optarg);
		o->close = optarg[0] == 'f' ? SW_CLOSE_FIN : SW_CLOSE_RST;
		break;
	case OPT_MAX_OPEN:
		o->max_open = (uint32_t)number("--max-open", optarg, 1);
		break;
	case OPT_PROGRESS:
		o->progress_ns = (uint64_t)(number("--progress", optarg, 0) * 1e9);
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		exit(2);
	}
}

static void check_options(struct sw_load_options *o, const char *mode, const char *hash, const char *path)
{
	for (unsigned int i = 0; i < sw_protocol_count; i++)
		if (strcmp(mode, sw_protocols[i].name) == 0)
			o->protocol = &sw_protocols[i];
	if (o->protocol == NULL)
		fail("no such mode", mode);
	if (o->target.any.sa_family == 0 || o->rate_per_s <= 0 || (o->count == 0 && o->duration_ns == 0))
		fail(mode, "--target, --rate and one of --count and --seconds are needed");
	if (o->sources.count != 0 && o->sources.first.any.sa_family != o->target.any.sa_family)
		fail(mode, "--sources and --target are of different families");
	if (o->hold_ns != 0 && o->protocol->heard != NULL)
		fail(mode, "--hold-ms goes with mode connect alone");
	if (strcmp(mode, "announce") == 0)
		announce_request(o, hash);
	else if (strcmp(mode, "http") == 0)
		http_request(o, path);
}

/* A few descriptors are for the rest of the process. Failing is no error: max_open becomes what there is. */
static void fit_descriptors(struct sw_load_options *o)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	if (limit.rlim_cur < o->max_open + 16) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
		getrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < o->max_open + 16)
		o->max_open = (uint32_t)limit.rlim_cur - 16;
}

static double quantile_ms(const struct sw_load_result *r, double fraction)
{
	return (double)sw_histogram_quantile(&r->latency, fraction) / 1000;
}

static void report(const struct sw_load_options *o, const struct sw_load_result *r)
{
	static const char *const names[] = {
#define SW_OUTCOME_NAME(name, json) json,
		SW_OUTCOMES(SW_OUTCOME_NAME)};

	printf("{\"mode\":\"%s\",\"sent\":%lu,\"not_sent\":%lu,\"ok\":%lu,\"failed\":{", o->protocol->name, r->sent,
		r->not_sent, r->outcomes[SW_OUTCOME_OK]);
	for (int i = SW_OUTCOME_OK + 1; i < SW_OUTCOME_COUNT; i++)
		printf("%s\"%s\":%lu", i > SW_OUTCOME_OK + 1 ? "," : "", names[i], r->outcomes[i]);
	printf("},\"reset_later\":%lu,\"seconds\":%.3f,\"late_max_ms\":%.3f,\"latency_ms\":", r->reset_later,
		(double)r->elapsed_ns / 1e9, (double)r->late_max_us / 1000);
	if (r->latency.count == 0) {
		printf("null,\"histogram_us\":[]}\n");
		return;
	}
	printf("{\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f},\"histogram_us\":[",
		quantile_ms(r, 0.50), quantile_ms(r, 0.90), quantile_ms(r, 0.99), (double)r->latency.max_us / 1000);
	const char *comma = "";
	for (unsigned int i = 0; i < sizeof(r->latency.buckets) / sizeof(r->latency.buckets[0]); i++) {
		if (r->latency.buckets[i] == 0)
			continue;
		printf("%s[%lu,%lu]", comma, sw_histogram_floor(i), r->latency.buckets[i]);
		comma = ",";
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	struct sw_load_options options = {.timeout_ns = 1000000000, .max_open = 4096};
	struct sw_load_result *result = calloc(1, sizeof(*result));
	const char *hash = "0000000000000000000000000000000000000000", *path = "/";
	int option;

	while ((option = getopt_long(argc, argv, "h", long_options, NULL)) != -1)
		take_option(&options, option, &hash, &path);
	if (optind + 1 != argc || result == NULL)
		fail("exactly one MODE is needed", optind < argc ? argv[optind] : "none given");
	check_options(&options, argv[optind], hash, path);
	fit_descriptors(&options);
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	prctl(PR_SET_TIMERSLACK, 1000ul); /* ns: the schedule is kept to microseconds */
	const int error = sw_load_run(&options, result, &stop);
	if (error != 0) {
		fprintf(stderr, "sw-load: %s\n", strerror(-error));
		return 1;
	}
	report(&options, result);
	free(result);
	return 0;
}
