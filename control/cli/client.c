/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <curl/curl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECT_TIMEOUT_S = 5, CALL_TIMEOUT_S = 30, SILENCE_S = 75, ANSWER_MAX = 256 << 20 };

static size_t collect(char *data, size_t size, size_t count, void *context)
{
	struct sw_answer *reply = context;
	const size_t bytes = size * count;
	if (reply->bytes + bytes > ANSWER_MAX)
		return 0;
	char *larger = realloc(reply->text, reply->bytes + bytes + 1);
	if (!larger)
		return 0;
	memcpy(larger + reply->bytes, data, bytes);
	reply->text = larger;
	reply->bytes += bytes;
	larger[reply->bytes] = 0;
	return bytes;
}

/* A handle with where to connect, and the URL; NULL without memory. */
static CURL *prepare(const struct sw_client *client, const char *path)
{
	CURL *curl = curl_easy_init();
	char *url = NULL;
	const char *base = client->socket_path ? "http://localhost" : client->url;
	const size_t base_bytes = strlen(base) - (base[0] && base[strlen(base) - 1] == '/');
	if (!curl || asprintf(&url, "%.*s%s", (int)base_bytes, base, path) < 0) {
		curl_easy_cleanup(curl);
		return NULL;
	}
	curl_easy_setopt(curl, CURLOPT_URL, url);
	free(url);
	if (client->socket_path)
		curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_NOPROXY, "*"); /* a proxy in the environment is not meant for the box beside us */
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
	return curl;
}

static enum sw_exit unreachable(const struct sw_client *client, CURLcode code)
{
	fprintf(stderr, "seawallctl: no daemon answers at %s: %s\n",
	    client->socket_path ? client->socket_path : client->url, curl_easy_strerror(code));
	if (client->socket_path)
		fprintf(stderr, "Is seawalld running, and may you use its socket? Another place: --runtime-dir or --socket.\n");
	return SW_EXIT_UNREACHABLE;
}

enum sw_exit sw_client_call(
    const struct sw_client *client, const char *method, const char *path, const char *body, struct sw_answer *reply)
{
	memset(reply, 0, sizeof(*reply));
	CURL *curl = prepare(client, path);
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (!curl || !headers) {
		fprintf(stderr, "seawallctl: out of memory\n");
		curl_slist_free_all(headers);
		curl_easy_cleanup(curl);
		return SW_EXIT_UNREACHABLE;
	}
	headers = curl_slist_append(headers, "Expect:"); /* no 100-continue: one round trip */
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)CALL_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, collect);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, reply);
	if (body) {
		curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
	}
	const CURLcode code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(curl);
	if (code != CURLE_OK) {
		sw_answer_free(reply);
		return unreachable(client, code);
	}
	if (reply->text)
		reply->json = json_loadb(reply->text, reply->bytes, 0, NULL);
	return SW_EXIT_OK;
}

void sw_answer_free(struct sw_answer *reply)
{
	free(reply->text);
	json_decref(reply->json);
	memset(reply, 0, sizeof(*reply));
}

/* What has come of the stream and is no whole line yet. */
struct follower {
	bool (*event)(void *context, const char *data);
	void *context;
	struct sw_answer pending;
	bool ended; /* by `event` */
};

static size_t take_events(char *data, size_t size, size_t count, void *context)
{
	struct follower *f = context;
	if (collect(data, size, count, &f->pending) != size * count)
		return 0;
	char *line = f->pending.text;
	for (char *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (!strncmp(line, "data: ", 6) && !f->event(f->context, line + 6)) {
			f->ended = true;
			return 0;
		}
	}
	f->pending.bytes -= (size_t)(line - f->pending.text);
	memmove(f->pending.text, line, f->pending.bytes + 1);
	return size * count;
}

enum sw_exit sw_client_follow(
    const struct sw_client *client, const char *path, bool (*event)(void *context, const char *data), void *context)
{
	struct follower f = {.event = event, .context = context};
	CURL *curl = prepare(client, path);
	if (!curl) {
		fprintf(stderr, "seawallctl: out of memory\n");
		return SW_EXIT_UNREACHABLE;
	}
	long status = 0;
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_events);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &f);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
	const CURLcode code = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	curl_easy_cleanup(curl);
	sw_answer_free(&f.pending);
	if (f.ended)
		return SW_EXIT_OK;
	if (code == CURLE_OK && status != 200) {
		fprintf(stderr, "seawallctl: the daemon refused the stream (HTTP status %ld)\n", status);
		return SW_EXIT_REFUSED;
	}
	if (code != CURLE_OK)
		return unreachable(client, code);
	fprintf(stderr, "seawallctl: the daemon ended the stream\n");
	return SW_EXIT_UNREACHABLE;
}

char *sw_url_escape(const char *text)
{
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *copy = escaped ? strdup(escaped) : NULL;
	curl_free(escaped);
	return copy;
}

char *sw_find_socket(const char *runtime_dir)
{
	char *path = NULL;
	if (!runtime_dir)
		runtime_dir = getenv("SEAWALL_RUNTIME_DIR");
	if (runtime_dir)
		return asprintf(&path, "%s/seawalld.sock", runtime_dir) < 0 ? NULL : path;
	glob_t found = {0};
	if (glob("/run/seawall/*/seawalld.sock", 0, NULL, &found) || !found.gl_pathc) {
		fprintf(
		    stderr, "seawallctl: no daemon is running below /run/seawall; say where with --runtime-dir or --socket\n");
	} else if (found.gl_pathc > 1) {
		fprintf(stderr, "seawallctl: several boxes run here; choose one with --socket:\n");
		for (size_t i = 0; i < found.gl_pathc; i++)
			fprintf(stderr, "  %s\n", found.gl_pathv[i]);
	} else {
		path = strdup(found.gl_pathv[0]);
	}
	globfree(&found);
	return path;
}
