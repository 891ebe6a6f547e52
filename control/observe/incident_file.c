/* SPDX-License-Identifier: BSD-3-Clause */
#include "incident_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "policy/address_text.h"

enum { LINE_MAX_BYTES = 16 * 1024 };

static int path_of(char path[PATH_MAX], const char *state_dir, const char *name)
{
	const int n = snprintf(path, PATH_MAX, "%s/%s", state_dir, name);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static json_t *time_json(uint64_t unix_ns)
{
	char text[40];
	const time_t seconds = (time_t)(unix_ns / 1000000000u);
	struct tm tm;
	if (!unix_ns || !gmtime_r(&seconds, &tm))
		return json_null();
	const size_t n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof(text) - n, ".%09uZ", (unsigned int)(unix_ns % 1000000000u));
	return json_string(text);
}

static uint64_t parse_time(const json_t *json)
{
	const char *text = json_string_value(json);
	struct tm tm = {0};
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!rest)
		return 0;
	const time_t seconds = timegm(&tm);
	uint64_t ns = 0, digit = 100000000;
	if (*rest == '.')
		for (rest++; *rest >= '0' && *rest <= '9'; rest++, digit /= 10)
			ns += (uint64_t)(*rest - '0') * digit;
	return seconds > 0 ? (uint64_t)seconds * 1000000000u + ns : 0;
}

static json_t *offenders_json(const struct sw_incident *n)
{
	json_t *out = json_array();
	for (uint32_t i = 0; i < n->top_count; i++) {
		const struct sw_offender *o = &n->top[i];
		char text[SW_ADDRESS_TEXT_BYTES];
		json_array_append_new(
		    out, json_pack("{s:s, s:s, s:b, s:I, s:I, s:I}", "address", sw_address_format(&o->address, text), "proof",
		             sw_proof_names[o->proof], "blocked", (int)o->blocked, "refused", (json_int_t)o->refused, "conns",
		             (json_int_t)o->conns, "syns", (json_int_t)o->syns));
	}
	return out;
}

json_t *sw_incident_json(const struct sw_incident *n)
{
	return json_pack("{s:s, s:s, s:o, s:o, s:b, s:i, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:o}", "event",
	    n->end_unix_ns ? "disarmed" : "armed", "service", n->service, "start", time_json(n->start_unix_ns), "end",
	    time_json(n->end_unix_ns), "interrupted", (int)n->interrupted, "peak_syn_per_s", (int)n->peak_syn_per_s, "syns",
	    (json_int_t)n->syns, "answered", (json_int_t)n->answered, "dropped", (json_int_t)n->dropped, "cookies_echoed",
	    (json_int_t)n->cookies, "connections", (json_int_t)n->connections, "sources", (int)n->sources, "sources_proven",
	    (int)n->proven, "offenders", (int)n->offenders, "top_offenders", offenders_json(n));
}

static uint64_t count_in(const json_t *json, const char *key)
{
	const json_int_t value = json_integer_value(json_object_get(json, key));
	return value > 0 ? (uint64_t)value : 0;
}

static void parse_offenders(const json_t *list, struct sw_incident *n)
{
	size_t i;
	json_t *one;
	json_array_foreach(list, i, one)
	{
		struct sw_offender *o = &n->top[n->top_count];
		const char *address = json_string_value(json_object_get(one, "address"));
		const char *proof = json_string_value(json_object_get(one, "proof"));
		if (n->top_count == SW_INCIDENT_OFFENDERS)
			return;
		if (!address || sw_address_parse(address, &o->address))
			continue;
		o->proof = proof && !strcmp(proof, sw_proof_names[SW_PROOF_SENT_DATA]) ? SW_PROOF_SENT_DATA : SW_PROOF_ECHOED;
		o->blocked = json_is_true(json_object_get(one, "blocked"));
		o->refused = count_in(one, "refused");
		o->conns = count_in(one, "conns");
		o->syns = count_in(one, "syns");
		n->top_count++;
	}
}

static bool parse_line(const char *line, struct sw_incident *n)
{
	json_t *json = json_loads(line, 0, NULL);
	const char *service = json_string_value(json_object_get(json, "service"));
	memset(n, 0, sizeof(*n));
	n->slot = SW_NONE;
	n->start_unix_ns = parse_time(json_object_get(json, "start"));
	const bool good = service && strlen(service) < sizeof(n->service) && n->start_unix_ns;
	if (good) {
		snprintf(n->service, sizeof(n->service), "%s", service);
		n->end_unix_ns = parse_time(json_object_get(json, "end"));
		n->interrupted = json_is_true(json_object_get(json, "interrupted"));
		n->peak_syn_per_s = (uint32_t)count_in(json, "peak_syn_per_s");
		n->syns = count_in(json, "syns");
		n->answered = count_in(json, "answered");
		n->dropped = count_in(json, "dropped");
		n->cookies = count_in(json, "cookies_echoed");
		n->connections = count_in(json, "connections");
		n->sources = (uint32_t)count_in(json, "sources");
		n->proven = (uint32_t)count_in(json, "sources_proven");
		n->offenders = (uint32_t)count_in(json, "offenders");
		parse_offenders(json_object_get(json, "top_offenders"), n);
	}
	json_decref(json);
	return good;
}

int sw_incident_append(const char *state_dir, const struct sw_incident *incident)
{
	char path[PATH_MAX], older[PATH_MAX];
	struct stat st;
	int error = path_of(path, state_dir, "incidents.jsonl");
	if (!error)
		error = path_of(older, state_dir, "incidents.1.jsonl");
	if (error)
		return error;
	json_t *json = sw_incident_json(incident);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (!text)
		return -ENOMEM;
	const size_t bytes = strlen(text);
	text[bytes] = '\n'; /* in place of the NUL: one write, whole or not at all */
	if (!stat(path, &st) && st.st_size + (off_t)bytes + 1 > SW_INCIDENT_FILE_BYTES && rename(path, older))
		error = -errno;
	const int fd = error ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (!error && fd < 0)
		error = -errno;
	if (!error) {
		const ssize_t n = write(fd, text, bytes + 1);
		error = n < 0 ? -errno : (size_t)n < bytes + 1 ? -ENOSPC : 0;
	}
	if (fd >= 0)
		close(fd);
	free(text);
	return error;
}

void sw_incident_load(
    const char *state_dir, void (*take)(void *context, const struct sw_incident *incident), void *context)
{
	static const char *const names[] = {"incidents.1.jsonl", "incidents.jsonl"};
	char path[PATH_MAX];
	char *line = malloc(LINE_MAX_BYTES);
	for (int i = 0; line && i < 2; i++) {
		FILE *file = path_of(path, state_dir, names[i]) ? NULL : fopen(path, "re");
		struct sw_incident incident;
		while (file && fgets(line, LINE_MAX_BYTES, file))
			if (parse_line(line, &incident))
				take(context, &incident);
		if (file)
			fclose(file);
	}
	free(line);
}
