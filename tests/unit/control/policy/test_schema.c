/* SPDX-License-Identifier: BSD-3-Clause */
/* What is made from the table: the committed files are what it makes, the examples load, a dump loads again. */
#include "policy_test.h"

#include <glob.h>

#include "policy/schema.h"

static const char *source_root(void)
{
	const char *root = getenv("SW_SOURCE_ROOT");
	if (!root)
		fail_msg("SW_SOURCE_ROOT must name the source directory");
	return root;
}

static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "r");
	if (!file)
		fail_msg("%s cannot be read", path);
	char *text = calloc(1, 1 << 20);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static void compare(const char *name, int (*print)(FILE *))
{
	char path[4096], *made = NULL;
	size_t bytes;
	FILE *to = open_memstream(&made, &bytes);
	assert_non_null(to);
	assert_int_equal(print(to), 0);
	fclose(to);
	snprintf(path, sizeof(path), "%s/docs/%s", source_root(), name);
	char *committed = read_whole(path);
	if (strcmp(made, committed) != 0)
		fail_msg("%s is not what control/policy/schema.c makes: write it again with seawalld --print-schema or "
		         "--print-manual",
		    path);
	free(committed);
	free(made);
}

static void committed_files_are_current(void **state)
{
	(void)state;
	compare("seawall.schema.json", sw_schema_print_schema);
	compare("configuration.md", sw_schema_print_manual);
}

static void examples_are_good(void **state)
{
	static const char *const places[] = {"docs/examples/*.json", "scripts/lab.d/*.json"};
	glob_t found;
	char pattern[4096];
	(void)state;
	for (size_t p = 0; p < 2; p++) {
		snprintf(pattern, sizeof(pattern), "%s/%s", source_root(), places[p]);
		assert_int_equal(glob(pattern, 0, NULL, &found), 0);
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct sw_spec *spec = NULL;
			char text[1200];
			memset(&report, 0, sizeof(report));
			if (sw_load_file(found.gl_pathv[i], &report, &spec) != 0)
				fail_msg("%s", sw_finding_text(&report.findings[SW_ERROR][0], SW_ERROR, text, sizeof(text)));
			for (uint32_t w = 0; w < report.counts[SW_WARNING] && w < SW_FINDINGS_MAX; w++) {
				const struct sw_finding *f = &report.findings[SW_WARNING][w];
				if (strncmp(f->path, "boot.", 5) != 0) /* these depend on the machine */
					fail_msg("%s", sw_finding_text(f, SW_WARNING, text, sizeof(text)));
			}
			sw_spec_free(spec);
		}
		globfree(&found);
	}
}

/* Everything set to something else than its default, dumped, loaded and dumped again. */
static void a_dump_loads_again(void **state)
{
	static const char text[] =
	    "{\"boot\": {\"instance\": \"x\", \"links\": [{\"outside\": {\"vdev\": \"net_null0\"}, \"inside\": {\"pci\": "
	    "\"0000:00:01.0\"}}], "
	    "\"workers\": 2, \"cores\": [0, 1], \"housekeeping_core\": \"any\", \"fail\": \"closed\"},"
	    "\"control\": {\"listen\": [\"[::1]:99\", \"127.0.0.2:98\"], \"socket_mode\": \"0600\", \"socket_group\": "
	    "\"noc\"},"
	    "\"global\": {\"prefix_levels\": [{\"ipv4\": 20, \"ipv6\": 56}]},"
	    "\"service_defaults\": {\"mode\": \"monitor\"},"
	    "\"services\": [{\"name\": \"a\", \"targets\": [\"10.0.0.0/8:1-9\", \"[fd00::1]:80\"], \"backend\": "
	    "{\"mss_ipv4\": 536, \"sack\": \"no\", "
	    "\"window_scale\": \"none\"}, \"limits\": {\"prefixes\": [{\"concurrent\": 3}]}, \"block\": {\"after\": 2, "
	    "\"seconds\": 9}}],"
	    "\"groups\": [{\"name\": \"g\", \"prefixes\": [\"10.0.0.0/9\"], \"limits\": {\"conn_per_s\": 4}}],"
	    "\"allow\": [\"2001:db8::1\"], \"deny\": [\"10.0.0.0/8\"]}";
	(void)state;
	struct sw_spec *first = load_good(text);
	json_t *one = sw_spec_json(first, true);
	char *dumped = json_dumps(one, 0);
	struct sw_spec *second = load_good(dumped);
	json_t *two = sw_spec_json(second, true);
	assert_true(json_equal(one, two));
	assert_string_equal(
	    json_string_value(json_object_get(json_array_get(json_object_get(one, "services"), 0), "mode")), "monitor");
	assert_string_equal(json_string_value(json_object_get(json_object_get(one, "control"), "socket_mode")), "0600");
	json_decref(one);
	json_decref(two);
	free(dumped);
	sw_spec_free(first);
	sw_spec_free(second);
}

/* Each default lies in the range of its field, each example is JSON, and each key is told once. */
static void walk(const struct sw_object *object)
{
	for (uint32_t i = 0; i < object->count; i++) {
		const struct sw_field *f = &object->fields[i];
		assert_non_null(f->help);
		for (uint32_t j = 0; j < i; j++)
			assert_string_not_equal(f->key, object->fields[j].key);
		if (f->type == SW_FIELD_INTEGER && !f->default_text && !sw_field_value_name(f, f->initial))
			assert_in_range(f->initial, f->min, f->max);
		if (f->type == SW_FIELD_ENUM)
			assert_non_null(sw_field_value_name(f, f->initial));
		if (f->example) {
			json_t *example = json_loads(f->example, JSON_DECODE_ANY, NULL);
			assert_non_null(example);
			json_decref(example);
		}
		if (f->object && f->object != object)
			walk(f->object);
	}
}

static void the_table_is_sound(void **state)
{
	(void)state;
	walk(&sw_schema_root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(committed_files_are_current),
	    cmocka_unit_test(examples_are_good),
	    cmocka_unit_test(a_dump_loads_again),
	    cmocka_unit_test(the_table_is_sound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
