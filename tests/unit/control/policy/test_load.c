/* SPDX-License-Identifier: BSD-3-Clause */
/* What the loader takes and what it refuses, with the line and the path that it names. */
#include "policy_test.h"

#include <errno.h>
#include <unistd.h>

#include "policy/schema.h"

/* A text with one mistake. `says` is part of the message, `hints` of the hint. */
static const struct bad {
	const char *text;
	uint32_t line;
	const char *path, *says, *hints;
} bad_cases[] = {
    /* not JSON at all */
    {"", 1, "", "not JSON", "empty"},
    {"nonsense", 1, "", "not JSON", ""},
    {"{\n\"boot\": {\n\"links\": [],\n}}", 4, "boot", "not JSON", "comma"},
    {"{\n\"boot\": { // the boot section\n}}", 2, "boot", "not JSON", "no comments"},
    {"{\n# boot\n}", 2, "", "not JSON", "no comments"},
    {"{\"boot\": {\n'links': 1}}", 2, "boot", "not JSON", "double quotes"},
    {"{\"boot\": \"\xff\"}", 1, "boot", "not JSON", ""},
    {"{\"boot\": \"a\\u0000b\"}", 1, "boot", "not JSON", ""},
    {"{\"boot\": 99999999999999999999999999}", 1, "boot", "not JSON", ""},
    {"{\"boot\": 1e9999}", 1, "boot", "not JSON", ""},
    {"{} {}", 1, "", "not JSON", ""},
    {"[]", 1, "", "is a list, not an object", "{"},
    {"\"x\"", 1, "", "not JSON", ""},
    /* keys */
    {"{\n" LINKS ",\n\"sevices\": []}", 3, "sevices", "unknown key \"sevices\"", "did you mean \"services\"?"},
    {"{\n" LINKS ",\n\"qqqqqqqqqqqq\": 1}", 3, "qqqqqqqqqqqq", "unknown key", "known here: boot, control"},
    {"{\n" LINKS ",\n\"a b\\u001b\": 1}", 3, "[\"a b\\x1b\"]", "unknown key \"a b\\x1b\"", ""},
    {"{\n" LINKS ",\n\"services\": [],\n\"deny\": [],\n\"services\": []}", 5, "services", "twice", "line 3"},
    {CONFIG(",\n\"mode\": \"off\",\n\"mode\": \"auto\"", ""), 5, "services[0].mode", "twice", "line 4"},
    {CONFIG(",\n\"limits\": {\"sorce\": {}}", ""), 4, "services[0].limits.sorce", "unknown key", "\"source\""},
    {"{\"services\": []}", 1, "", "\"boot\" is missing", "add \"boot\""},
    {"{\n\"boot\": {}}", 2, "boot", "\"links\" is missing", "outside"},
    {"{\n" LINKS ",\n\"services\": [\n{\"name\": \"x\"}]}", 4, "services[0]", "\"targets\" is missing", ""},
    {"{\n" LINKS ",\n\"comment\": 3}", 3, "comment", "is a whole number, not a string", ""},
    /* types and ranges */
    {"{\n\"boot\": 3}", 2, "boot", "is a whole number, not an object", ""},
    {"{\n" LINKS ",\n\"services\": {}}", 3, "services", "is an object, not a list", "["},
    {"{\n" LINKS ",\n\"services\": [\n3]}", 4, "services[0]", "is a whole number, not an object", ""},
    {CONFIG(",\n\"hold_s\": 0", ""), 4, "services[0].hold_s", "0 is out of range", "from 1 to 86400 (seconds)"},
    {CONFIG(",\n\"hold_s\": \"30\"", ""), 4, "services[0].hold_s", "is a string", ""},
    {CONFIG(",\n\"hold_s\": 1.5", ""), 4, "services[0].hold_s", "fraction", ""},
    {CONFIG(",\n\"hold_s\": -9223372036854775808", ""), 4, "services[0].hold_s", "out of range", ""},
    {CONFIG(",\n\"hold_s\": null", ""), 4, "services[0].hold_s", "is null", ""},
    {CONFIG(",\n\"mode\": \"on\"", ""), 4, "services[0].mode", "\"on\" is none of the choices",
        "\"off\", \"monitor\", \"auto\" or \"always\""},
    {CONFIG(",\n\"mode\": 1", ""), 4, "services[0].mode", "not one of the words", ""},
    {CONFIG(",\n\"backend\": {\"window_scale\": 15}", ""), 4, "services[0].backend.window_scale", "15 is out of range",
        "\"learn\" or \"none\""},
    {CONFIG(",\n\"backend\": {\"window_scale\": \"off\"}", ""), 4, "services[0].backend.window_scale", "is a string",
        ""},
    {CONFIG("", ",\n\"control\": {\"socket_mode\": \"888\"}"), 4, "control.socket_mode", "file mode", "0660"},
    {CONFIG("", ",\n\"control\": {\"socket_mode\": \"1777\"}"), 4, "control.socket_mode", "file mode", ""},
    {CONFIG("", ",\n\"control\": {\"socket_mode\": \"-77\"}"), 4, "control.socket_mode", "file mode", ""},
    {CONFIG("", ",\n\"control\": {\"listen\": [\"0.0.0.0:8470\"]}"), 4, "control.listen[0]", "not a loopback",
        "127.0.0.1:8470"},
    {CONFIG("", ",\n\"control\": {\"listen\": [\"127.0.0.1:1\",\n\"[2001:db8::1]:8470\"]}"), 5, "control.listen[1]",
        "not a loopback", ""},
    {CONFIG("", ",\n\"control\": {\"listen\": [\"127.0.0.0/8:8470\"]}"), 4, "control.listen[0]",
        "one address and one port", ""},
    {CONFIG("", ",\n\"control\": {\"listen\": [8470]}"), 4, "control.listen[0]", "not a string", ""},
    {"{\n\"boot\": {\"links\": []}}", 2, "boot.links", "is empty", "give 1 to 16"},
    {"{\n" LINKS ",\n\"services\": [{\"name\": \"a/b\", \"targets\": [\"1.2.3.4:5\"]}]}", 3, "services[0].name",
        "\"a/b\" is not a usable name", "letters"},
    {"{\n" LINKS ",\n\"services\": [{\"name\": \"\", \"targets\": [\"1.2.3.4:5\"]}]}", 3, "services[0].name",
        "not a usable name", ""},
    {"{\n\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": \"b\"}], \"cores\": [-1]}}", 2, "boot.cores[0]",
        "-1 is out of range", ""},
    /* devices */
    {"{\n\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": 3}]}}", 2, "boot.links[0].inside",
        "does not name one device", "\"interface\""},
    {"{\n\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": {\"pci\": \"0:1.2\"}}]}}", 2, "boot.links[0].inside",
        "PCI address", ""},
    {"{\n\"boot\": {\"links\": [{\"outside\": \"a\", \"inside\": {\"pci\": \"0000:00:01.0\", \"vdev\": "
     "\"net_null0\"}}]}}",
        2, "boot.links[0].inside", "one device", ""},
    {"{\n\"boot\": {\"links\": [{\"outside\": \"a-name-that-is-too-long\", \"inside\": \"b\"}]}}", 2,
        "boot.links[0].outside", "15", ""},
    {"{\n\"boot\": {\"links\": [{\"outside\": \"../x\", \"inside\": \"b\"}]}}", 2, "boot.links[0].outside",
        "no name that an interface", ""},
    {"{\n\"boot\": {\"links\": [{\"outside\": {\"vdev\": \"net_pcap0 --x\"}, \"inside\": \"b\"}]}}", 2,
        "boot.links[0].outside", "blanks", ""},
    /* targets and prefixes, both families */
    {CONFIG(",\n\"comment\": \"x\"", ",\n\"allow\": [\"10.0.0.1/8\"]"), 5, "allow[0]", "has host bits set",
        "write 10.0.0.0/8"},
    {CONFIG("", ",\n\"deny\": [\n\"2001:db8::1/32\"]"), 5, "deny[0]", "has host bits set", "write 2001:db8::/32"},
    {CONFIG("", ",\n\"deny\": [\"::ffff:1.2.3.4\"]"), 4, "deny[0]", "IPv4-mapped", ""},
    {CONFIG("", ",\n\"deny\": [7]"), 4, "deny[0]", "neither a prefix nor a file", ""},
    {CONFIG("", ",\n\"deny\": [{\"file\": \"x\", \"line\": 3}]"), 4, "deny[0]", "neither a prefix nor a file", ""},
    {CONFIG("", ",\n\"deny\": [{\"file\": \"no-such-file\"}]"), 4, "deny[0]", "No such file",
        "folder of the configuration"},
    {CONFIG("", ",\n\"deny\": [{\"file\": \"/\"}]"), 4, "deny[0]", "no regular file", ""},
    {"{\n" LINKS ",\n\"services\": [{\"name\": \"x\", \"targets\": [\"10.0.0.1:80\",\n\"fd00::1:80\"]}]}", 4,
        "services[0].targets[1]", "needs brackets", ""},
    {"{\n" LINKS ",\n\"services\": [{\"name\": \"x\", \"targets\": [\"10.0.0.1:0\"]}]}", 3, "services[0].targets[0]",
        "no port", ""},
    {"{\n" LINKS ",\n\"services\": [{\"name\": \"x\", \"targets\": [\"10.0.0.1/24:80\"]}]}", 3,
        "services[0].targets[0]", "host bits", ""},
    {"{\n" LINKS ",\n\"groups\": [{\"name\": \"x\", \"prefixes\": [\"10.0.0.0/33\"]}]}", 3, "groups[0].prefixes[0]",
        "no prefix length", ""},
};

static void mistakes_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad_cases) / sizeof(bad_cases[0]); i++) {
		const struct bad *c = &bad_cases[i];
		const struct sw_finding *f = &report.findings[SW_ERROR][0];
		struct sw_spec *spec = NULL;
		const int result = load(c->text, &spec);
		const bool right = result == -EINVAL && report.counts[SW_ERROR] == 1 && f->line == c->line && f->column > 0 &&
		                   strcmp(f->path, c->path) == 0 && strstr(f->message, c->says) && strstr(f->hint, c->hints);
		if (!right) {
			char text[1200];
			print_error("case %zu: %s\nwanted line %u, path %s, \"%s\", \"%s\"\ngot %d, %u errors: %s\n", i, c->text,
			    c->line, c->path, c->says, c->hints, result, report.counts[SW_ERROR],
			    sw_finding_text(f, SW_ERROR, text, sizeof(text)));
		}
		assert_true(right);
	}
}

static void several_mistakes_are_collected(void **state)
{
	struct sw_spec *spec;
	char text[4096] = "{\n" LINKS ",\n\"deny\": [";
	(void)state;
	for (int i = 0; i < 30; i++)
		strcat(text, i ? ",\n\"bad\"" : "\n\"bad\"");
	strcat(text, "]}");
	assert_int_equal(load(text, &spec), -EINVAL);
	assert_int_equal(report.counts[SW_ERROR], 30);
	for (uint32_t i = 0; i < SW_FINDINGS_MAX; i++)
		assert_int_equal(report.findings[SW_ERROR][i].line, 4 + i);
}

static void hostile_text_is_refused(void **state)
{
	struct sw_spec *spec;
	enum { DEPTH = 1000000 };
	char *text = malloc(DEPTH);
	(void)state;
	assert_non_null(text);
	memset(text, '[', DEPTH);
	memset(&report, 0, sizeof(report));
	assert_int_equal(sw_load_text(text, DEPTH, "deep", ".", &report, &spec), -EINVAL);
	assert_non_null(strstr(report.findings[SW_ERROR][0].message, "deeper"));
	/* a NUL byte, and the text need not end in one */
	memcpy(text, "{\"boot\"\0: 1}", 12);
	memset(&report, 0, sizeof(report));
	assert_int_equal(sw_load_text(text, 12, "nul", ".", &report, &spec), -EINVAL);
	free(text);
}

/* Every cut of a good text, in memory of exactly that size. */
static void cut_text_is_refused(void **state)
{
	static const char good[] =
	    CONFIG(",\n\"limits\": {\"prefixes\": [{\"syn_per_s\": 5}]}", ",\n\"deny\": [\"10.0.0.0/8\", \"fd00::/8\"]");
	struct sw_spec *spec;
	(void)state;
	for (size_t bytes = 0; bytes < sizeof(good) - 1; bytes++) {
		char *cut = malloc(bytes ? bytes : 1);
		assert_non_null(cut);
		memcpy(cut, good, bytes);
		memset(&report, 0, sizeof(report));
		assert_int_equal(sw_load_text(cut, bytes, "cut", ".", &report, &spec), -EINVAL);
		assert_true(report.findings[SW_ERROR][0].line > 0);
		free(cut);
	}
}

static void defaults_are_filled_in(void **state)
{
	struct sw_spec *spec = load_good(CONFIG("", ""));
	const struct sw_spec_service *s = spec->services.items;
	const struct sw_spec_level *levels = spec->global.prefix_levels.items;
	(void)state;
	assert_int_equal(report.counts[SW_WARNING], 0);
	assert_string_equal(spec->boot.instance, "seawall");
	assert_int_equal(spec->boot.workers, 1);
	assert_int_equal(spec->boot.housekeeping_core, SW_NONE);
	assert_int_equal(spec->control.listen.count, 2);
	assert_int_equal(spec->control.socket_mode, 0660);
	assert_int_equal(spec->global.prefix_levels.count, 2);
	assert_int_equal(levels[0].ipv4_length, 24);
	assert_int_equal(levels[1].ipv6_length, 48);
	assert_int_equal(s->mode, SW_MODE_AUTO);
	assert_int_equal(s->stop_syn_per_s * 2, s->start_syn_per_s);
	assert_int_equal(s->limits.source.syn_burst, s->limits.source.syn_per_s * 2);
	assert_int_equal(s->limits.source.concurrent, SW_SOURCE_CONCURRENT);
	assert_int_equal(s->limits.prefixes.count, 1);
	assert_int_equal(SW_SPEC_ITEMS(s->limits.prefixes, struct sw_spec_limits)->syn_per_s, SW_PREFIX_SYN_PER_S);
	assert_int_equal(SW_SPEC_ITEMS(s->limits.prefixes, struct sw_spec_limits)->conn_per_s, SW_PREFIX_CONN_PER_S);
	assert_int_equal(s->backend.window_scale, SW_BACKEND_LEARN);
	assert_int_equal(s->targets.count, 2);
	sw_spec_free(spec);
}

static void services_inherit_their_defaults(void **state)
{
	/* service_defaults stands behind the services here: its place in the file does not matter */
	struct sw_spec *spec = load_good(CONFIG(",\"hold_s\": 7, \"limits\": {\"source\": {\"conn_per_s\": 3}}",
	    ",\n\"service_defaults\": {\"mode\": \"always\", \"hold_s\": 5, \"limits\": {\"source\": {\"syn_per_s\": 9}, "
	    "\"prefixes\": [{\"concurrent\": 6}]}, \"backend\": {\"window_scale\": \"none\", \"sack\": \"no\"}}"));
	const struct sw_spec_service *s = spec->services.items;
	(void)state;
	assert_int_equal(s->mode, SW_MODE_ALWAYS);
	assert_int_equal(s->hold_s, 7);
	assert_int_equal(s->limits.source.syn_per_s, 9);
	assert_int_equal(s->limits.source.conn_per_s, 3);
	assert_int_equal(s->limits.prefixes.count, 1);
	assert_int_equal(SW_SPEC_ITEMS(s->limits.prefixes, struct sw_spec_limits)->concurrent, 6);
	assert_int_equal(s->backend.window_scale, SW_BACKEND_OFF);
	assert_int_equal(s->backend.sack, 0);
	assert_string_equal(s->name, "tracker");
	sw_spec_free(spec);
}

static void devices_of_every_kind(void **state)
{
	struct sw_spec *spec = load_good(
	    "{\"boot\": {\"links\": [{\"outside\": \"eth0\", \"inside\": {\"interface\": \"eth1\", \"comment\": \"x\"}}, "
	    "{\"outside\": {\"pci\": \"0000:3b:00.1,arg=1\"}, \"inside\": {\"vdev\": \"net_pcap0,rx_pcap=in.pcap\"}}]}}");
	const struct sw_spec_link *links = spec->boot.links.items;
	(void)state;
	assert_int_equal(links[0].inside.kind, SW_DEVICE_INTERFACE);
	assert_string_equal(links[0].inside.name, "eth1");
	assert_int_equal(links[1].outside.kind, SW_DEVICE_PCI);
	assert_int_equal(links[1].inside.kind, SW_DEVICE_VDEV);
	sw_spec_free(spec);
}

/* ---- files of prefixes ------------------------------------------------------------------------------------------ */

static char directory[] = "/tmp/seawall-load-XXXXXX";

static int make_directory(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static void write_list(const char *name, const char *text, size_t bytes)
{
	char path[256];
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, bytes, file), bytes);
	fclose(file);
}

static int remove_directory(void **state)
{
	static const char *const names[] = {"list", "bad", "nul", "seawall.json"};
	char path[256];
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
		unlink(path);
	}
	return rmdir(directory);
}

static int load_there(const char *text, struct sw_spec **out)
{
	memset(&report, 0, sizeof(report));
	return sw_load_text(text, strlen(text), "test.json", directory, &report, out);
}

static void files_hold_prefixes(void **state)
{
	static const char list[] = "# the usual suspects\n\n10.0.0.0/8\r\n\t192.0.2.7   # one of them\n2001:db8::/32";
	struct sw_spec *spec;
	(void)state;
	write_list("list", list, sizeof(list) - 1);
	assert_int_equal(load_there("{" LINKS ", \"deny\": [\"198.51.100.1\", {\"file\": \"list\"}]}", &spec), 0);
	const struct sw_spec_prefix *p = spec->deny.items;
	assert_int_equal(spec->deny.count, 4);
	assert_null(p[0].file);
	assert_int_equal(p[1].line, 3);
	assert_int_equal(p[2].line, 4);
	assert_int_equal(p[3].line, 5);
	assert_int_equal(p[3].prefix.length, 32);
	sw_spec_free(spec);
}

static void mistakes_in_files_have_their_own_lines(void **state)
{
	static const char list[] = "10.0.0.0/8\n\n  10.0.0.1/8\n\x1b[31m\n2001:db8::1/32";
	static const char with_nul[] = "10.0.0.0/8\n10.1.0.0/16\0junk\n";
	const struct sw_finding *f = report.findings[SW_ERROR];
	struct sw_spec *spec;
	(void)state;
	write_list("bad", list, sizeof(list) - 1);
	assert_int_equal(load_there("{" LINKS ", \"deny\": [{\"file\": \"bad\"}]}", &spec), -EINVAL);
	assert_int_equal(report.counts[SW_ERROR], 3);
	assert_string_equal(f[0].file, "bad");
	assert_int_equal(f[0].line, 3);
	assert_int_equal(f[0].column, 3);
	assert_string_equal(f[0].hint, "write 10.0.0.0/8");
	assert_int_equal(f[1].line, 4);
	assert_null(strchr(f[1].message, '\x1b'));
	assert_int_equal(f[2].line, 5);
	write_list("nul", with_nul, sizeof(with_nul) - 1);
	assert_int_equal(load_there("{" LINKS ", \"deny\": [{\"file\": \"nul\"}]}", &spec), -EINVAL);
	assert_int_equal(f[0].line, 2);
}

static void a_hundred_thousand_prefixes(void **state)
{
	enum { COUNT = 100000, LINE = 24 };
	char *list = malloc(COUNT * LINE);
	size_t bytes = 0;
	struct sw_spec *spec;
	(void)state;
	assert_non_null(list);
	for (unsigned int i = 0; i < COUNT; i++)
		bytes += (size_t)snprintf(list + bytes, LINE, "%u.%u.%u.%u\n", 11 + i / 65536, i / 256 % 256, i % 256, i % 7);
	write_list("list", list, bytes);
	free(list);
	assert_int_equal(load_there("{" LINKS ", \"deny\": [{\"file\": \"list\"}]}", &spec), 0);
	assert_int_equal(spec->deny.count, COUNT);
	sw_spec_free(spec);
}

static void files_that_cannot_be_read(void **state)
{
	struct sw_spec *spec;
	(void)state;
	memset(&report, 0, sizeof(report));
	assert_int_equal(sw_load_file("/no/such/seawall.json", &report, &spec), -EINVAL);
	assert_non_null(strstr(report.findings[SW_ERROR][0].message, "No such file"));
	memset(&report, 0, sizeof(report));
	assert_int_equal(sw_load_file("/", &report, &spec), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mistakes_are_named),
	    cmocka_unit_test(several_mistakes_are_collected),
	    cmocka_unit_test(hostile_text_is_refused),
	    cmocka_unit_test(cut_text_is_refused),
	    cmocka_unit_test(defaults_are_filled_in),
	    cmocka_unit_test(services_inherit_their_defaults),
	    cmocka_unit_test(devices_of_every_kind),
	    cmocka_unit_test(files_hold_prefixes),
	    cmocka_unit_test(mistakes_in_files_have_their_own_lines),
	    cmocka_unit_test(a_hundred_thousand_prefixes),
	    cmocka_unit_test(files_that_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
